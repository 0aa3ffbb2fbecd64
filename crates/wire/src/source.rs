//! What comes to the source port, and the exact answers that encoders understand.

use crate::head::Head;
use crate::metadata::{Dialect, MetadataRequest};
use crate::path::split_target;

/// What a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRequest {
    /// To send audio.
    Source(Source),
    /// To tell what is being played.
    Metadata(MetadataRequest),
    /// The same, in a form that is still to be read.
    MetadataForm(Dialect),
    /// To know what may be asked: `OPTIONS`, libshout's first probe.
    Options,
    /// `/admin/!POKE`, libshout's second probe, which wants to be refused.
    Poke,
    /// Something that is not for sources.
    Other,
}

/// A request to send audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The mount: the whole path, decoded, with its leading slash.
    pub mount: String,
    /// How the audio is framed.
    pub body: Body,
    waits: bool,
}

/// How the audio of a source is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Up to the end of the connection.
    Identity,
    /// So many bytes; at least one.
    Length(u64),
    /// In HTTP chunks.
    Chunked,
}

impl Source {
    /// The answer that lets it send. What waits to be told to continue is told both, the second at once.
    pub fn welcome(&self) -> &'static [u8] {
        if self.waits {
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n"
        } else {
            b"HTTP/1.0 200 OK\r\n\r\n"
        }
    }
}

/// Tells what a request wants.
pub fn classify(head: &Head) -> SourceRequest {
    if head.method == "OPTIONS" {
        return SourceRequest::Options;
    }
    let Ok((path, query)) = split_target(&head.target) else { return SourceRequest::Other };
    match (head.method.as_str(), path.as_str()) {
        ("SOURCE" | "PUT", _) => SourceRequest::Source(Source {
            mount: if path.starts_with('/') { path } else { format!("/{path}") },
            body: body(head),
            waits: head.expects_continue(),
        }),
        ("GET", "/admin/metadata") => {
            SourceRequest::Metadata(MetadataRequest::decode(&query, Dialect::Icecast))
        }
        // Its other modes are statistics.
        ("GET", "/admin.cgi") if query.get("mode") == Some("updinfo") => {
            SourceRequest::Metadata(MetadataRequest::decode(&query, Dialect::Shoutcast))
        }
        ("POST", "/admin/metadata") => SourceRequest::MetadataForm(Dialect::Icecast),
        // Its mode may be in the form.
        ("POST", "/admin.cgi") => SourceRequest::MetadataForm(Dialect::Shoutcast),
        ("GET", "/admin/!POKE") => SourceRequest::Poke,
        _ => SourceRequest::Other,
    }
}

/// `PUT` of a file says how long it is. A length of none means nothing: libshout sends it before endless audio.
fn body(head: &Head) -> Body {
    match head.content_length() {
        _ if head.is_chunked() => Body::Chunked,
        Some(length @ 1..) if head.method == "PUT" => Body::Length(length),
        _ => Body::Identity,
    }
}

/// Answers as encoders need them: one head, one short text, and the end of the connection.
pub mod answers {
    use bytes::Bytes;

    /// An answer that ends the connection.
    pub fn refusal(status: u16, reason: &str, text: &str) -> Bytes {
        plain(status, reason, "", text)
    }

    /// Wrong or missing password, or no such mount: one answer for all three. libshout needs it well formed.
    pub fn unauthorized() -> Bytes {
        let challenge = "WWW-Authenticate: Basic realm=\"StreamMachine\"\r\n";
        plain(401, "Unauthorized", challenge, "Invalid source or password.")
    }

    /// A request that is not understood.
    pub fn bad_request(why: &str) -> Bytes {
        refusal(400, "Bad Request", &format!("{why}\n"))
    }

    /// Audio that is not understood.
    pub fn unsupported(why: &str) -> Bytes {
        refusal(415, "Unsupported Media Type", &format!("{why}\n"))
    }

    /// The answer to `OPTIONS`.
    pub fn options() -> Bytes {
        "HTTP/1.1 204 No Content\r\nServer: StreamMachine\r\nConnection: close\r\n\
         Allow: GET, PUT, SOURCE, OPTIONS\r\nContent-Length: 0\r\n\r\n"
            .into()
    }

    /// The answer to a listener that came to the source port.
    pub fn not_for_listeners() -> Bytes {
        refusal(404, "Not Found", "This port is for sources: SOURCE or PUT.\n")
    }

    /// Metadata was set.
    pub fn metadata_done() -> Bytes {
        response(200, "OK", "Metadata update successful", 1)
    }

    /// A metadata request that wants something else.
    pub fn metadata_unknown_action() -> Bytes {
        response(200, "OK", "No such action", 0)
    }

    /// A metadata request that names no mount.
    pub fn metadata_unknown_mount() -> Bytes {
        response(400, "Bad Request", "Source does not exist", 0)
    }

    /// Metadata was set, for an encoder that speaks SHOUTcast v1.
    pub fn metadata_done_shoutcast() -> Bytes {
        let text = "<html><head><title>Admin request successful</title></head>\
                    <body><p>Metadata update successful</p></body></html>";
        answer(200, "OK", "", "text/html", text)
    }

    fn response(status: u16, reason: &str, message: &str, value: u8) -> Bytes {
        let text = format!(
            "<?xml version=\"1.0\"?>\n<iceresponse><message>{message}</message><return>{value}</return></iceresponse>\n"
        );
        answer(status, reason, "", "text/xml; charset=utf-8", &text)
    }

    fn plain(status: u16, reason: &str, headers: &str, text: &str) -> Bytes {
        answer(status, reason, headers, "text/plain; charset=utf-8", text)
    }

    fn answer(status: u16, reason: &str, headers: &str, media_type: &str, text: &str) -> Bytes {
        format!(
            "HTTP/1.0 {status} {reason}\r\nServer: StreamMachine\r\n{headers}Connection: close\r\n\
             Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::parse;

    fn classified(text: &str) -> SourceRequest {
        classify(&parse(format!("{text}\r\n\r\n").as_bytes()).unwrap().unwrap().0)
    }

    fn source(text: &str) -> Source {
        match classified(text) {
            SourceRequest::Source(source) => source,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sources_are_recognised_by_their_whole_path() {
        for (line, mount) in [
            ("SOURCE /test HTTP/1.0", "/test"),
            ("SOURCE test ICE/1.0", "/test"),
            ("PUT /te%73t?x=1 HTTP/1.1", "/test"),
            ("PUT http://h:1/test HTTP/1.1", "/test"),
            ("SOURCE /test2 HTTP/1.0", "/test2"),
            ("SOURCE /test/../x HTTP/1.0", "/test/../x"),
            ("SOURCE / HTTP/1.0", "/"),
            ("SOURCE /admin/metadata HTTP/1.0", "/admin/metadata"),
        ] {
            assert_eq!(source(line).mount, mount, "{line}");
        }
        assert_eq!(classified("SOURCE /test%00 HTTP/1.0"), SourceRequest::Other);
    }

    #[test]
    fn the_body_is_framed_as_the_head_says() {
        assert_eq!(source("PUT /t HTTP/1.1\r\nTransfer-Encoding: chunked").body, Body::Chunked);
        assert_eq!(source("PUT /t HTTP/1.1").body, Body::Identity);
        assert_eq!(source("PUT /t HTTP/1.1\r\nContent-Length: 5").body, Body::Length(5));
        for endless in ["PUT /t HTTP/1.1\r\nContent-Length: 0", "SOURCE /t HTTP/1.0\r\nContent-Length: 5"] {
            assert_eq!(source(endless).body, Body::Identity, "{endless}");
        }
    }

    #[test]
    fn what_waits_is_told_to_continue_and_then_welcomed() {
        let welcome = b"HTTP/1.0 200 OK\r\n\r\n";
        assert_eq!(source("SOURCE /t HTTP/1.0").welcome(), welcome);
        assert_eq!(source("PUT /t HTTP/1.1").welcome(), welcome);
        assert_eq!(source("PUT /t HTTP/1.0\r\nExpect: 100-continue").welcome(), welcome);
        let waiting = source("PUT /t HTTP/1.1\r\nExpect: 100-Continue").welcome();
        assert_eq!(waiting, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n");
    }

    #[test]
    fn what_is_no_source_is_told_apart() {
        assert_eq!(classified("OPTIONS * HTTP/1.1\r\nHost: h"), SourceRequest::Options);
        assert_eq!(classified("GET /admin/!POKE HTTP/1.1"), SourceRequest::Poke);
        let metadata = classified("GET /admin/metadata?mode=updinfo HTTP/1.0");
        assert!(matches!(metadata, SourceRequest::Metadata(_)));
        let metadata = classified("GET /admin.cgi?pass=pw:#2&mode=updinfo&song=x HTTP/1.0");
        assert!(matches!(metadata, SourceRequest::Metadata(it) if it.dialect == Dialect::Shoutcast));
        for (line, dialect) in [
            ("POST /admin/metadata?x=1 HTTP/1.1", Dialect::Icecast),
            ("POST /admin.cgi?pass=pw:#2 HTTP/1.1", Dialect::Shoutcast),
        ] {
            assert_eq!(classified(line), SourceRequest::MetadataForm(dialect), "{line}");
        }
        for line in
            ["GET /test HTTP/1.1", "GET /admin.cgi?mode=viewxml HTTP/1.1", "HEAD /admin/!POKE HTTP/1.1"]
        {
            assert_eq!(classified(line), SourceRequest::Other, "{line}");
        }
    }

    fn check(answer: &[u8], status: &str, headers: &str, text: &str) {
        let length = text.len();
        let expected = format!(
            "HTTP/1.0 {status}\r\nServer: StreamMachine\r\n{headers}Content-Length: {length}\r\n\r\n{text}"
        );
        assert_eq!(std::str::from_utf8(answer), Ok(&*expected));
    }

    #[test]
    fn refusals_are_whole_answers_that_end_the_connection() {
        let plain = "Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n";
        check(&answers::bad_request("why"), "400 Bad Request", plain, "why\n");
        check(&answers::unsupported("why"), "415 Unsupported Media Type", plain, "why\n");
        check(
            &answers::refusal(403, "too many sources connected", ""),
            "403 too many sources connected",
            plain,
            "",
        );
        let for_sources = "This port is for sources: SOURCE or PUT.\n";
        check(&answers::not_for_listeners(), "404 Not Found", plain, for_sources);
        let challenge = format!("WWW-Authenticate: Basic realm=\"StreamMachine\"\r\n{plain}");
        check(&answers::unauthorized(), "401 Unauthorized", &challenge, "Invalid source or password.");
    }

    #[test]
    fn options_name_what_a_source_may_send() {
        let expected = "HTTP/1.1 204 No Content\r\nServer: StreamMachine\r\nConnection: close\r\n\
                        Allow: GET, PUT, SOURCE, OPTIONS\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answers::options(), expected.as_bytes());
    }

    #[test]
    fn metadata_answers_are_those_of_icecast_and_shoutcast() {
        let html = "Connection: close\r\nContent-Type: text/html\r\n";
        let text = "<html><head><title>Admin request successful</title></head>\
                    <body><p>Metadata update successful</p></body></html>";
        check(&answers::metadata_done_shoutcast(), "200 OK", html, text);
        let xml = "Connection: close\r\nContent-Type: text/xml; charset=utf-8\r\n";
        let text = "<?xml version=\"1.0\"?>\n<iceresponse><message>Metadata update successful</message>\
                    <return>1</return></iceresponse>\n";
        assert_eq!(text.len(), 113);
        check(&answers::metadata_done(), "200 OK", xml, text);
        let text = "<?xml version=\"1.0\"?>\n<iceresponse><message>No such action</message>\
                    <return>0</return></iceresponse>\n";
        check(&answers::metadata_unknown_action(), "200 OK", xml, text);
        let text = "<?xml version=\"1.0\"?>\n<iceresponse><message>Source does not exist</message>\
                    <return>0</return></iceresponse>\n";
        check(&answers::metadata_unknown_mount(), "400 Bad Request", xml, text);
    }
}
