//! Passwords of API users, hashed as the original hashed them: `sha1$SALT$ITERATIONS$HEX`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// Iterations that are still followed: more would let one request occupy a core.
const ITERATIONS_MAX: u32 = 100_000;

/// True if `password` is the one that was hashed into `hash`. A hash of another form matches nothing.
pub fn verify(password: &str, hash: &str) -> bool {
    let mut parts = hash.split('$');
    let (Some("sha1"), Some(salt), Some(iterations), Some(expected), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let Ok(iterations @ 1..=ITERATIONS_MAX) = iterations.parse::<u32>() else { return false };
    let actual = chain(password, salt, iterations);
    actual.as_bytes().ct_eq(expected.to_ascii_lowercase().as_bytes()).into()
}

/// Iterations of hashes that are made here: some tenths of a millisecond for each request.
const ITERATIONS: u32 = 1000;

/// The hash of `password`, with a salt of its own.
pub fn hash(password: &str) -> String {
    let salt = uuid::Uuid::new_v4().simple().to_string();
    format!("sha1${salt}${ITERATIONS}${}", chain(password, &salt, ITERATIONS))
}

/// HMAC-SHA1 keyed with the salt, applied again to the hexadecimal digits of each result.
fn chain(password: &str, salt: &str, iterations: u32) -> String {
    let mut digits = password.to_owned();
    for _ in 0..iterations {
        let mut mac = Hmac::<Sha1>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(digits.as_bytes());
        digits = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with Python: hmac.new(b"salt1234", b"secret", "sha1").hexdigest(), and once more over its digits.
    const ONCE: &str = "sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0";
    const TWICE: &str = "sha1$salt1234$2$6e86329028e7b0c073a7522a2d15c83ee9ee29dd";

    #[test]
    fn hashes_of_the_original_verify() {
        assert!(verify("secret", ONCE));
        assert!(verify("secret", TWICE));
    }

    #[test]
    fn hashes_that_are_made_here_verify_and_differ() {
        let (one, other) = (hash("secret"), hash("secret"));
        assert!(verify("secret", &one) && verify("secret", &other) && !verify("Secret", &one));
        assert_ne!(one, other);
    }

    #[test]
    fn anything_else_does_not() {
        for (password, hash) in [
            ("Secret", ONCE),
            ("", ONCE),
            ("secret", "secret"),
            ("secret", ""),
            ("secret", "md5$salt1234$1$00"),
            ("secret", "sha1$salt1234$0$"),
            ("secret", "sha1$salt1234$1$"),
            ("secret", "sha1$salt1234$4294967295$00"),
        ] {
            assert!(!verify(password, hash), "{password:?} {hash:?}");
        }
    }
}
