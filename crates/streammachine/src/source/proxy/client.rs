//! Asks an upstream for its stream: looks up its address, connects, and follows where it leads, within bounds.
//!
//! Heads are our own, as servers answer what HTTP clients refuse (`wire::upstream`). What they lead to may lie further
//! out, never further in: a server of the internet cannot have this machine or its network asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, crypto};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use uuid::Uuid;
use wire::icy;
use wire::playlist::{find_entry, is_hls};
use wire::upstream::{Answer, Get};

use crate::base::reach::Reach;
use crate::config::Upstream;
use crate::source::reader::{Body, Content};
use crate::source::{End, chain};

/// Looking up an address, connecting to one, and the handshake of TLS may each take so long.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// From the request to the end of the answer's head, or of a playlist.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Redirects and playlists that are followed.
const HOPS_MAX: usize = 5;
/// Longest playlist.
const PLAYLIST_BYTES_MAX: usize = 16 * 1024;
/// Media types of playlists that name a stream.
const PLAYLISTS: [&str; 8] = [
    "audio/x-scpls",
    "audio/scpls",
    "application/pls+xml",
    "audio/x-mpegurl",
    "audio/mpegurl",
    "application/x-mpegurl",
    "application/mpegurl",
    "application/vnd.apple.mpegurl",
];
/// How we call ourselves.
const AGENT: &str = concat!("StreamMachine/", env!("CARGO_PKG_VERSION"));

/// A connection to an upstream, encrypted or not.
pub type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What is told and asked besides the address.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The mount that is fed.
    pub mount: Uuid,
    /// Whether titles are wanted in the audio.
    pub titles: bool,
}

/// Why an upstream gives no stream, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(String);

/// What an upstream gives.
pub struct Opened {
    /// What its connection carries.
    pub content: Content,
    /// The mounts that it comes from, if the upstream is a server of this kind.
    pub mounts: Arc<[Uuid]>,
}

/// Where an answer leads.
enum Next {
    Stream(Opened),
    Other(Upstream),
}

/// Asks `upstream` for its stream: the connection, and what it carries.
///
/// # Errors
/// Nothing is there, or nothing that can be relayed.
pub async fn open(upstream: &Upstream, ask: &Ask) -> Result<(Connection, Opened), Trouble> {
    let mut to = upstream.clone();
    let mut from = None;
    for _ in 0..=HOPS_MAX {
        let elsewhere = |trouble: Trouble| trouble.at(&to, upstream);
        let (mut connection, reach) = connect(&to, from).await.map_err(elsewhere)?;
        let deadline = Instant::now() + ANSWER_TIME;
        match exchange(&mut connection, &to, ask, deadline).await.map_err(elsewhere)? {
            Next::Stream(opened) => return Ok((connection, opened)),
            Next::Other(next) => to = next,
        }
        from = Some(reach);
    }
    Err(trouble(format!("more than {HOPS_MAX} redirects and playlists one after the other")))
}

impl Trouble {
    /// Names the address, if it is not the one that the source is called by.
    fn at(self, to: &Upstream, configured: &Upstream) -> Self {
        if to == configured { self } else { Trouble(format!("{to}: {self}")) }
    }
}

fn trouble(reason: impl ToString) -> Trouble {
    Trouble(reason.to_string())
}

/// Connects to `to`, which somebody of the reach `from` has named, or the configuration.
async fn connect(to: &Upstream, from: Option<Reach>) -> Result<(Connection, Reach), Trouble> {
    let (host, port) = to.host_and_port();
    let found = timeout(CONNECT_TIME, lookup_host((host, port))).await;
    let found = found.map_err(|_| trouble("its name was not looked up in time"))?;
    let found = found.map_err(|error| Trouble(format!("its name was not found: {error}")))?;
    let mut last = trouble("its name has no address");
    for address in found.take(ADDRESSES_MAX) {
        let reach = Reach::of(address.ip());
        if let Some(from) = from.filter(|from| !from.may_lead(reach)) {
            last = Trouble(format!("{from} must not lead to {reach}"));
            continue;
        }
        match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(socket)) if to.is_https() => {
                return Ok((Either::Right(Box::new(encrypt(socket, host).await?)), reach));
            }
            Ok(Ok(socket)) => return Ok((Either::Left(socket), reach)),
            Ok(Err(error)) => last = Trouble(format!("cannot connect: {error}")),
            Err(_) => last = trouble("cannot connect in time"),
        }
    }
    Err(last)
}

async fn encrypt(socket: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, Trouble> {
    let insecure = |reason: String| Trouble(format!("no encrypted connection: {reason}"));
    let config = tls_config().map_err(|error| insecure(error.to_string()))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| insecure(error.to_string()))?;
    match timeout(CONNECT_TIME, TlsConnector::from(config).connect(name, socket)).await {
        Ok(connected) => connected.map_err(|error| insecure(error.to_string())),
        Err(_) => Err(insecure("not in time".to_owned())),
    }
}

/// What certificates are trusted is read once: those of the system.
fn tls_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = Arc::new(builder.with_platform_verifier()?.with_no_client_auth());
    Ok(Arc::clone(CONFIG.get_or_init(|| config)))
}

/// Sends the request, and makes something of the answer.
async fn exchange(
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    to: &Upstream,
    ask: &Ask,
    deadline: Instant,
) -> Result<Next, Trouble> {
    send_request(connection, to, ask, deadline).await?;
    let (answer, first) = read_answer(connection, deadline).await?;
    if let Some(place) = answer.location() {
        return to.join(place).map(Next::Other).ok_or_else(|| trouble("a redirect to no address of http"));
    }
    check_status(&answer)?;
    let body = Body::from(answer.body().map_err(trouble)?);
    if names_stream(&answer.media_type(), to.target()) {
        let text = read_playlist(connection, body, first, deadline).await?;
        if is_hls(&text) {
            return Err(trouble("this is HTTP Live Streaming, which cannot be relayed"));
        }
        let next = find_entry(&text).and_then(|entry| to.join(entry));
        return next.map(Next::Other).ok_or_else(|| trouble("a playlist without an address of http"));
    }
    if answer.media_type().starts_with("text/") {
        return Err(Trouble(format!("this is {}, no audio", answer.media_type())));
    }
    let titles = answer.metaint().filter(|_| ask.titles).map(icy::Reader::new);
    let mounts = chain::parse(answer.sources()).into();
    Ok(Next::Stream(Opened { content: Content { body, titles, first }, mounts }))
}

async fn send_request(
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    to: &Upstream,
    ask: &Ask,
    deadline: Instant,
) -> Result<(), Trouble> {
    let (credentials, source) = (to.credentials(), ask.mount.to_string());
    let get = Get {
        host: to.authority(),
        target: to.target(),
        agent: AGENT,
        credentials: credentials.as_ref(),
        titles: ask.titles,
        source: &source,
    };
    let head = get.encode();
    // What is encrypted waits to be flushed.
    let send = async {
        connection.write_all(head.as_bytes()).await?;
        connection.flush().await
    };
    let sent = timeout_at(deadline, send).await.map_err(|_| trouble("the request was not taken in time"))?;
    sent.map_err(|error| Trouble(format!("the connection broke: {}", error.kind())))
}

/// The head of the answer, and the bytes that came behind it.
async fn read_answer(
    connection: &mut (impl AsyncRead + Unpin),
    deadline: Instant,
) -> Result<(Answer, Bytes), Trouble> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        // It refuses what is longer than its limit, which bounds what is held.
        if let Some((answer, length)) = Answer::parse(&buffer).map_err(trouble)? {
            return Ok((answer, buffer.split_off(length).freeze()));
        }
        read_more(connection, &mut buffer, deadline)
            .await?
            .ok_or_else(|| trouble("closed without an answer"))?;
    }
}

/// Reads what comes next; none at the end.
async fn read_more(
    connection: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    deadline: Instant,
) -> Result<Option<()>, Trouble> {
    match timeout_at(deadline, connection.read_buf(buffer)).await {
        Err(_) => Err(Trouble(format!("no answer within {} s", ANSWER_TIME.as_secs()))),
        Ok(Err(error)) => Err(Trouble(format!("the connection broke: {}", error.kind()))),
        Ok(Ok(count)) => Ok((count > 0).then_some(())),
    }
}

fn check_status(answer: &Answer) -> Result<(), Trouble> {
    match answer.status {
        200 | 206 => Ok(()),
        401 => Err(trouble("it wants a user and password: http://USER:PASSWORD@HOST/PATH")),
        status => Err(Trouble(format!("the answer is {status} {}", answer.reason).trim_end().to_owned())),
    }
}

/// True for what is a playlist by its media type; by the name of the file where the type says nothing.
fn names_stream(media_type: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let by_name = [".pls", ".m3u", ".m3u8"].iter().any(|ending| path.ends_with(ending));
    let says_nothing = matches!(media_type, "" | "text/plain" | "application/octet-stream");
    PLAYLISTS.contains(&media_type) || (says_nothing && by_name)
}

async fn read_playlist(
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut body: Body,
    first: Bytes,
    deadline: Instant,
) -> Result<String, Trouble> {
    let mut buffer = BytesMut::from(&first[..]);
    let mut text = Vec::new();
    loop {
        if !buffer.is_empty() {
            let (piece, end) = body.decode(&buffer);
            text.extend_from_slice(&piece);
            if text.len() > PLAYLIST_BYTES_MAX {
                return Err(Trouble(format!("a playlist of more than {PLAYLIST_BYTES_MAX} bytes")));
            }
            match end {
                None => {}
                Some(End::Closed) => break,
                Some(end) => return Err(trouble(end)),
            }
            buffer.clear();
        }
        if read_more(connection, &mut buffer, deadline).await?.is_none() {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "HTTP/1.1 200 OK\r\n";

    /// What comes of an upstream that says `bytes` and then nothing more, its connection open or closed. No time is left
    /// for what is not there at once.
    async fn said(target: &str, bytes: &str, is_open: bool) -> Result<String, String> {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(bytes.as_bytes()).await.unwrap();
        if !is_open {
            theirs.shutdown().await.unwrap();
        }
        let to = Upstream::parse(&format!("http://radio.example{target}")).unwrap();
        let ask = Ask { mount: Uuid::nil(), titles: true };
        match exchange(&mut ours, &to, &ask, Instant::now()).await {
            Ok(Next::Other(next)) => Ok(format!("to {next}")),
            Ok(Next::Stream(Opened { content, .. })) => {
                Ok(format!("{:?}, {}", content.body, content.first.len()))
            }
            Err(Trouble(reason)) => Err(reason),
        }
    }

    #[tokio::test]
    async fn answers_are_streams_places_or_trouble() {
        let too_long =
            format!("{OK}Content-Type: audio/x-scpls\r\n\r\n{}", "x".repeat(PLAYLIST_BYTES_MAX + 1));
        let longest =
            format!("{OK}Content-Type: audio/x-scpls\r\n\r\n{}\n/b", "#".repeat(PLAYLIST_BYTES_MAX - 3));
        let list = |head: &str| format!("{OK}{head}\r\n\r\n[playlist]\nFile1=/b\n");
        let ok = |text: &str| Ok(text.to_owned());
        let err = |text: &str| Err(text.to_owned());
        for (target, bytes, is_open, expected) in [
            ("/", "ICY 200 OK\r\n\r\naudio".to_owned(), true, ok("Identity, 5")),
            ("/", format!("{OK}Content-Length: 9\r\n\r\n"), true, ok("Length(9), 0")),
            ("/a", "HTTP/1.0 302 x\r\nLocation: b\r\n\r\n".to_owned(), true, ok("to http://radio.example/b")),
            ("/a/b", list("Content-Type: audio/x-scpls"), false, ok("to http://radio.example/b")),
            ("/a.pls", list("Content-Length: 20"), true, ok("to http://radio.example/b")),
            ("/", longest, false, ok("to http://radio.example/b")),
            ("/", too_long, true, err("a playlist of more than 16384 bytes")),
            (
                "/a.pls",
                list("Transfer-Encoding: chunked"),
                true,
                err("the connection broke: a chunk's size is malformed"),
            ),
            ("/a.pls", list("A: b"), true, err("no answer within 10 s")),
            ("/", String::new(), true, err("no answer within 10 s")),
            ("/", "HTTP/1.1 200 OK\r\nA".to_owned(), true, err("no answer within 10 s")),
            ("/", String::new(), false, err("closed without an answer")),
            ("/", "HTTP/1.1 200 OK\r\nA".to_owned(), false, err("closed without an answer")),
            ("/", "invalid password\r\n".to_owned(), true, err("the answer is not HTTP")),
            (
                "/",
                format!("{OK}{}", "A".repeat(1 << 17)),
                true,
                err(&wire::upstream::AnswerError::TooLong.to_string()),
            ),
            ("/", "HTTP/1.1 503 \r\n\r\n".to_owned(), true, err("the answer is 503")),
            (
                "/",
                "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
                true,
                err("the answer is 304 Not Modified"),
            ),
            (
                "/",
                format!("{OK}Transfer-Encoding: gzip\r\n\r\n"),
                true,
                err("the answer's body has an unknown transfer coding"),
            ),
        ] {
            assert_eq!(
                said(target, &bytes, is_open).await,
                expected,
                "{target} {}",
                &bytes[..bytes.len().min(80)]
            );
        }
        let asks_for_a_user = said("/", "HTTP/1.1 401 Unauthorized\r\n\r\n", true).await.unwrap_err();
        assert!(asks_for_a_user.starts_with("it wants a user and password"), "{asks_for_a_user}");
    }

    #[test]
    fn playlists_are_known_by_their_type_or_else_by_their_name() {
        for (media_type, target, expected) in [
            ("audio/x-scpls", "/live", true),
            ("application/vnd.apple.mpegurl", "/live", true),
            ("text/plain", "/Live.PLS?a=1", true),
            ("", "/live.m3u", true),
            ("application/octet-stream", "/live.m3u8", true),
            ("audio/mpeg", "/live.pls", false),
            ("text/plain", "/live?file=.pls", false),
            ("", "/live.mp3", false),
        ] {
            assert_eq!(names_stream(media_type, target), expected, "{media_type} {target}");
        }
    }
}
