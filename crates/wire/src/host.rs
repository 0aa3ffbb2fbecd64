//! The address under which a client knows this server, for URLs that are given to it.

/// Longest host that is repeated to a client.
const HOST_MAX: usize = 255;

/// `http://HOST` as the client knows it: by its `Host`, or by `X-Forwarded-Proto` and `X-Forwarded-Host` behind a proxy;
/// else the `fallback`, which the configuration gives. A host with other characters than hosts have is not repeated.
pub fn public_base<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    behind_proxy: bool,
    fallback: Option<&str>,
) -> String {
    let forwarded = |name| if behind_proxy { header(name).and_then(first) } else { None };
    let scheme = match forwarded("x-forwarded-proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let hosts = [forwarded("x-forwarded-host"), header("host")];
    let host = hosts.into_iter().flatten().find(|host| is_host(host));
    format!("{scheme}://{}", host.or(fallback).unwrap_or("localhost"))
}

fn first(list: &str) -> Option<&str> {
    list.split(',').next().map(str::trim)
}

fn is_host(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(headers: &[(&str, &str)], behind_proxy: bool, fallback: Option<&str>) -> String {
        public_base(
            |name| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value),
            behind_proxy,
            fallback,
        )
    }

    #[test]
    fn the_clients_own_host_comes_first() {
        assert_eq!(
            base(&[("host", "radio.example:8000")], false, Some("other")),
            "http://radio.example:8000"
        );
        assert_eq!(base(&[("host", "[::1]:8000")], false, None), "http://[::1]:8000");
        assert_eq!(base(&[], false, Some("radio.example")), "http://radio.example");
        assert_eq!(base(&[], false, None), "http://localhost");
    }

    #[test]
    fn a_proxy_is_believed_only_where_there_is_one() {
        let headers = |scheme, host| {
            [("host", "inner:8000"), ("x-forwarded-proto", scheme), ("x-forwarded-host", host)]
        };
        for (scheme, host, expected) in [
            ("https", "radio.example, x", "https://radio.example"),
            ("HTTPS, http", " radio.example:8443 ", "https://radio.example:8443"),
            ("http", "radio.example", "http://radio.example"),
            ("javascript", "radio.example", "http://radio.example"),
            ("https", "a b", "https://inner:8000"),
            ("https", "", "https://inner:8000"),
        ] {
            assert_eq!(base(&headers(scheme, host), true, None), expected, "{scheme} {host}");
            assert_eq!(base(&headers(scheme, host), false, None), "http://inner:8000");
        }
    }

    #[test]
    fn a_host_has_a_longest() {
        let longest = "h".repeat(HOST_MAX);
        assert_eq!(base(&[("host", &longest)], false, None), format!("http://{longest}"));
        assert_eq!(base(&[("host", &(longest + "h"))], false, None), "http://localhost");
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        for host in ["", "a b", "a/b", "user@a", "a?b", "a#b", "a\\b", "a\"><script>", "a\r\nb", "é"] {
            assert_eq!(base(&[("host", host)], false, Some("safe")), "http://safe", "{host:?}");
        }
    }
}
