//! What real programs send, byte for byte, and how it is understood. How each module reads its part is tested there.

use wire::head::{Head, Protocol, parse};
use wire::icy::Metadata;
use wire::path::split_target;
use wire::source::{Body, SourceRequest, classify};
use wire::text::Charset;

/// libshout 2.4.6, its three first connections.
const LIBSHOUT_OPTIONS: &[u8] =
    b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:18201\r\nUser-Agent: libshout/2.4.6\r\n\
    Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n\r\n";
const LIBSHOUT_POKE: &[u8] =
    b"GET /admin/!POKE HTTP/1.1\r\nHost: 127.0.0.1:18201\r\nUser-Agent: GStreamer 1.22.0\r\n\r\n";
const LIBSHOUT_CHALLENGE: &[u8] = b"SOURCE /gst.mp3 HTTP/1.0\r\nHost: 127.0.0.1:18201\r\n\
    User-Agent: GStreamer 1.22.0\r\nContent-Type: audio/mpeg\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\
    ice-public: 0\r\nice-name: GST\r\nice-description: \r\nice-genre: \r\nPrefer: return=minimal\r\n\r\n";
const LIBSHOUT_METADATA: &[u8] = b"GET /admin/metadata?mode=updinfo&charset=UTF-8&mount=%2fgst%2emp3&\
    song=Unknown%20%2d%20Unknown HTTP/1.1\r\nAuthorization: Basic c291cmNlOnNyY3Bhc3M=\r\n\r\n";
/// BUTT 0.1.37.
const BUTT: &[u8] = b"PUT /butt.mp3 HTTP/1.1\r\nAuthorization: Basic c291cmNlOnNyY3Bhc3M=\r\n\
    Host: 127.0.0.1:18221\r\nUser-Agent: butt 0.1.37\r\nContent-Type: audio/mpeg\r\nice-name: I\r\nice-public: 0\r\n\
    ice-url: http://u\r\nice-genre: g\r\nice-description: d\r\n\
    ice-audio-info: ice-bitrate=128;ice-channels=2;ice-samplerate=44100\r\nExpect: 100-continue\r\n\r\n";
const BUTT_METADATA: &[u8] = b"GET /admin/metadata?mode=updinfo&mount=/butt.mp3&\
    song=Bj\xc3\xb6rk%20-%20J\xc3\xb3ga HTTP/1.0\r\nAuthorization: Basic c291cmNlOnNyY3Bhc3M=\r\n\r\n";
/// ffmpeg 5.1 with `icecast://`; the second with `-legacy_icecast 1`.
const FFMPEG: &[u8] = b"PUT /f.mp3 HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\nAccept: */*\r\n\
    Expect: 100-continue\r\nConnection: close\r\nHost: 127.0.0.1:18999\r\nContent-Type: audio/mpeg\r\n\
    Icy-MetaData: 1\r\nIce-Name: R\xc3\xa4dio\r\nIce-Description: d\r\nIce-URL: http://u\r\nIce-Genre: g\r\n\
    Ice-Public: 1\r\nAuthorization: Basic c291cmNlOnB3\r\n\r\n";
const FFMPEG_LEGACY: &[u8] = b"SOURCE /f.mp3 HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\nAccept: */*\r\n\
    Connection: close\r\nHost: 127.0.0.1:18999\r\nContent-Type: audio/mpeg\r\nIcy-MetaData: 1\r\n\
    Authorization: Basic c291cmNlOnB3\r\n\r\n";
/// Liquidsoap 2.1.3, without a host.
const LIQUIDSOAP: &[u8] = b"SOURCE /ls.mp3 HTTP/1.0\r\nice-url: http://u\r\nice-name: LS\r\n\
    Authorization: Basic c291cmNlOnNyY3Bhc3M=\r\nice-description: d\r\nice-public: 1\r\n\
    User-Agent: Liquidsoap/2.1.3 (Unix; OCaml 4.13.1)\r\nice-genre: g\r\n\
    ice-audio-info: channels=2;samplerate=44100;bitrate=128\r\nContent-Type: audio/mpeg\r\n\r\n";
/// DarkIce 1.3: bare LF up to the end of the head.
const DARKICE: &[u8] = b"SOURCE /dark.mp3 HTTP/1.0\nContent-type: audio/mpeg\n\
    Authorization: Basic c291cmNlOnNyY3Bhc3M=\nUser-Agent: DarkIce/1.3\nice-bitrate: 128\nice-public: 0\n\
    ice-name: DARK\r\n\r\n";

fn head(bytes: &[u8]) -> Head {
    let (head, length) = parse(bytes).expect("an acceptable head").expect("a whole head");
    assert_eq!(length, bytes.len());
    head
}

#[test]
fn sources_are_let_in_as_each_of_them_waits() {
    let ok = "HTTP/1.0 200 OK\r\n\r\n";
    let both = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n";
    for (bytes, mount, password, welcome) in [
        (LIBSHOUT_CHALLENGE, "/gst.mp3", None, ok),
        (BUTT, "/butt.mp3", Some("srcpass"), both),
        (FFMPEG, "/f.mp3", Some("pw"), both),
        (FFMPEG_LEGACY, "/f.mp3", Some("pw"), ok),
        (LIQUIDSOAP, "/ls.mp3", Some("srcpass"), ok),
        (DARKICE, "/dark.mp3", Some("srcpass"), ok),
    ] {
        let head = head(bytes);
        let SourceRequest::Source(source) = classify(&head) else { panic!("{mount} is no source") };
        assert_eq!((&*source.mount, source.body), (mount, Body::Identity));
        assert_eq!(source.welcome(), welcome.as_bytes(), "{mount}");
        let given = wire::auth::basic(head.header("authorization"));
        assert_eq!(given.map(|credentials| credentials.password).as_deref(), password, "{mount}");
    }
}

#[test]
fn probes_are_told_from_sources() {
    assert_eq!(classify(&head(LIBSHOUT_OPTIONS)), SourceRequest::Options);
    assert_eq!(classify(&head(LIBSHOUT_POKE)), SourceRequest::Poke);
}

#[test]
fn titles_are_read_encoded_or_raw() {
    for (bytes, mount, title) in
        [(LIBSHOUT_METADATA, "/gst.mp3", "Unknown - Unknown"), (BUTT_METADATA, "/butt.mp3", "Björk - Jóga")]
    {
        let SourceRequest::Metadata(request) = classify(&head(bytes)) else { panic!("{title}") };
        assert!(request.is_update());
        assert_eq!(request.mount.as_deref(), Some(mount));
        assert_eq!(
            request.metadata(Charset::default()),
            Metadata { title: title.to_owned(), url: String::new() }
        );
    }
}

#[test]
fn raw_titles_are_read_in_their_character_set() {
    for (query, title) in [
        (&b"song=\x93Bj\xf6rk\x94"[..], "“Björk”"),
        (b"charset=ISO-8859-1&song=Bj\xf6rk", "Björk"),
        (b"charset=ISO-8859-2&song=\xa3\xf3d\xbc", "Łódź"),
        (b"charset=UTF-8&song=Bj\xc3\xb6rk", "Björk"),
    ] {
        let bytes = [b"GET /admin/metadata?mode=updinfo&", query, b" HTTP/1.0\r\n\r\n"].concat();
        let SourceRequest::Metadata(request) = classify(&head(&bytes)) else { panic!("{title}") };
        assert_eq!(request.metadata(Charset::default()).title, title);
    }
}

#[test]
fn headers_of_real_heads_are_found() {
    assert_eq!(head(FFMPEG).header("ice-name"), Some("Rädio"));
    assert_eq!(head(LIBSHOUT_CHALLENGE).header("ice-description"), Some(""));
    assert_eq!(head(DARKICE).header("Ice-Name"), Some("DARK"));
    assert_eq!(head(LIQUIDSOAP).header("host"), None);
    assert_eq!(head(LIBSHOUT_CHALLENGE).protocol, Protocol::Http10);
}

#[test]
fn a_raw_number_sign_belongs_to_the_query() {
    let head = head(b"GET /admin.cgi?pass=pw:#2&mode=updinfo&song=x HTTP/1.0\r\n\r\n");
    let (path, query) = split_target(&head.target).unwrap();
    assert_eq!((&*path, query.get("pass"), query.get("song")), ("/admin.cgi", Some("pw:#2"), Some("x")));
}
