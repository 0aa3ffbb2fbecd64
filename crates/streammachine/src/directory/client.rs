//! Says one thing to a directory over HTTP, and understands its answer, all of which is in the head.

use std::error::Error as _;
use std::time::Duration;

use anyhow::Context as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;
use wire::metadata::clean;

/// A connection must be there within this.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The whole head of the answer must be there within this.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Longest id of an entry; Xiph's are numbers.
const SID_BYTES_MAX: usize = 256;
/// Longest reason of a refusal that is logged, in characters.
const REASON_CHARS_MAX: usize = 200;
/// What is encoded in a form: all but the unreserved characters of RFC 3986, section 2.3.
const IN_FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A directory at an address.
#[derive(Debug)]
pub struct Client {
    url: String,
    http: reqwest::Client,
}

/// A directory has taken what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The id of the entry.
    pub sid: Option<String>,
    /// Seconds between touches.
    pub touch_every_s: Option<u64>,
}

/// A directory has not taken what was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No answer came.
    #[error("no answer: {0}")]
    Silent(String),
    /// It answers as no directory does that works.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// It does not say yes or no.
    #[error("the answer says nothing that a directory says: is the address right?")]
    Strange,
    /// It says no.
    #[error("refused: {0}")]
    Refused(String),
}

impl Client {
    /// A client of the directory at `url`. Answers that lead elsewhere are not followed: whoever knows a better address
    /// can set it.
    ///
    /// # Errors
    /// The machine has no certificates that could be trusted.
    pub fn new(url: String) -> anyhow::Result<Self> {
        // Whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("StreamMachine/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            // Minutes pass until the next request.
            .pool_max_idle_per_host(0);
        // Where nothing is encrypted no certificates are needed, and small machines have none.
        let builder = if url.starts_with("https:") { builder } else { builder.tls_certs_only([]) };
        let http = builder.build().context("cannot make a client of directories")?;
        Ok(Client { url, http })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends `action` with `fields`.
    pub async fn send(&self, action: &str, fields: &[(&str, &str)]) -> Result<Answer, Trouble> {
        let form = encode(action, fields);
        let request = self.http.post(&self.url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        // The body is not read: it says nothing more, and may have no end.
        let response = request.body(form).send().await.map_err(|error| Trouble::Silent(innermost(&error)))?;
        match response.status() {
            status if status.is_success() => decode(response.headers()),
            status => Err(Trouble::Status(status)),
        }
    }
}

fn encode(action: &str, fields: &[(&str, &str)]) -> String {
    let mut form = format!("action={action}");
    for (name, value) in fields {
        form.push_str(&format!("&{name}={}", utf8_percent_encode(value, IN_FORM)));
    }
    form
}

fn decode(headers: &HeaderMap) -> Result<Answer, Trouble> {
    let text = |name: &str| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    match text("ypresponse").as_deref() {
        Some("1") => Ok(Answer {
            sid: text("sid").filter(|sid| (1..=SID_BYTES_MAX).contains(&sid.len())),
            touch_every_s: text("touchfreq").and_then(|seconds| seconds.parse().ok()),
        }),
        Some(_) => {
            let reason: String =
                clean(&text("ypmessage").unwrap_or_default()).chars().take(REASON_CHARS_MAX).collect();
            Err(Trouble::Refused(if reason.is_empty() { "without a reason".to_owned() } else { reason }))
        }
        None => Err(Trouble::Strange),
    }
}

/// The cause of an error, without the address, which is told beside it.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it takes too long".to_owned();
    }
    let mut text = "the request failed".to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn decoded(lines: &[(&'static str, &[u8])]) -> Result<Answer, Trouble> {
        let header = |(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        decode(&lines.iter().map(header).collect())
    }

    #[test]
    fn forms_are_encoded_as_utf_8() {
        let form = encode("touch", &[("sid", "a b"), ("st", "Björk & Co = 100 % +~\"'\n"), ("stype", "")]);
        assert_eq!(
            form,
            "action=touch&sid=a%20b&st=Bj%C3%B6rk%20%26%20Co%20%3D%20100%20%25%20%2B~%22%27%0A&stype="
        );
    }

    #[test]
    fn answers_say_yes_no_or_nothing() {
        let yes =
            |sid: Option<&str>, touch_every_s| Ok(Answer { sid: sid.map(str::to_owned), touch_every_s });
        let long = [b'x'; SID_BYTES_MAX + 1];
        for (lines, answer) in [
            (
                vec![("ypresponse", &b"1"[..]), ("sid", b"17"), ("touchfreq", b"200")],
                yes(Some("17"), Some(200)),
            ),
            (vec![("ypresponse", b" 1 "), ("touchfreq", b"soon")], yes(None, None)),
            (vec![("ypresponse", b"1"), ("sid", b"")], yes(None, None)),
            (vec![("ypresponse", b"1"), ("sid", &long)], yes(None, None)),
            (vec![("ypresponse", b"1"), ("sid", &long[1..])], yes(Some(&"x".repeat(SID_BYTES_MAX)), None)),
            (
                vec![("ypresponse", b"0"), ("ypmessage", b"no \xff such\tstation")],
                Err(Trouble::Refused("no \u{fffd} such station".to_owned())),
            ),
            (vec![("ypresponse", b"2")], Err(Trouble::Refused("without a reason".to_owned()))),
            (
                vec![("ypresponse", b""), ("ypmessage", &[b'm'; 1000])],
                Err(Trouble::Refused("m".repeat(REASON_CHARS_MAX))),
            ),
            (vec![("sid", b"17")], Err(Trouble::Strange)),
        ] {
            assert_eq!(decoded(&lines), answer, "{lines:?}");
        }
    }
}
