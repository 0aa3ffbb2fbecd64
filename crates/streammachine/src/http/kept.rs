//! A connection that the HTTP server has, request after request, until it ends or is wanted back: for audio, which goes the
//! fast way, or by the process that has taken over.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::base::gate::{Elsewhere, Gate, Visit};
use crate::base::net::PeerAddress;
use crate::http::App;
use crate::http::io::PrefixedIo;
use crate::http::router::{self, Found};

/// A kept connection must send its next head within this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Bytes of a head, and what may be read behind it.
const BUFFER_BYTES: usize = 64 * 1024;

/// What the HTTP server answers with.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    /// Where streams are served: what they come from.
    pub streams: Option<Arc<App>>,
    /// What requests that change something go through.
    pub gate: Option<Arc<Gate>>,
    /// Everything else.
    pub all: axum::Router,
}

/// A connection that goes on outside of the HTTP server.
#[derive(Debug)]
pub(super) struct Back {
    /// The connection.
    pub socket: TcpStream,
    /// What was read and not answered: from the first byte of a request on, if there is any.
    pub bytes: Bytes,
}

/// What the service and the connection around it tell each other.
#[derive(Debug, Default)]
struct Desk {
    /// The request that is not answered here.
    returned: Mutex<Option<(Bytes, Incoming)>>,
    /// A request has come.
    is_begun: AtomicBool,
    /// The socket has not taken all that was written.
    is_blocked: Arc<AtomicBool>,
    /// The process gives its connections away: answers from now on tell that theirs ends.
    is_leaving: AtomicBool,
    /// The peer expects to go on behind the latest answer.
    is_kept: AtomicBool,
}

/// Lets the HTTP server have a connection on which `first` was read, for one request or as long as it is kept, until
/// `leave`. It comes back if there is more to be done on it.
pub(super) async fn serve_http(
    socket: TcpStream,
    peer: SocketAddr,
    first: Bytes,
    routes: Routes,
    keep_alive: bool,
    leave: impl Future<Output = ()>,
) -> Option<Back> {
    let desk = Desk { is_kept: AtomicBool::new(true), ..Desk::default() };
    let io = TokioIo::new(PrefixedIo::new(first, socket, Arc::clone(&desk.is_blocked)));
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        answer(&routes, request, &desk)
    });
    let mut server = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE)
        .keep_alive(keep_alive)
        // Who has asked for all it wants may close its half, and gets it.
        .half_close(true)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(io, service);
    tokio::pin!(leave);
    let end = poll_fn(|context| {
        if !desk.is_leaving() && leave.as_mut().poll(context).is_ready() {
            desk.is_leaving.store(true, Ordering::Relaxed);
            if !desk.is_begun.load(Ordering::Relaxed) {
                return Poll::Ready(None);
            }
            Pin::new(&mut server).graceful_shutdown();
        }
        if let Poll::Ready(result) = Pin::new(&mut server).poll(context) {
            return Poll::Ready(Some(result));
        }
        // The answers before are on their way; else the socket wakes this when it takes more.
        let is_returned = desk.returned.lock().is_some() && !desk.is_blocked.load(Ordering::Relaxed);
        if is_returned { Poll::Ready(None) } else { Poll::Pending }
    });
    let end = end.await;
    let http1::Parts { io, read_buf, .. } = server.into_parts();
    let (mut socket, unread) = io.into_inner().into_parts();
    match end {
        None => {}
        Some(Ok(())) if desk.is_leaving() && desk.is_kept.load(Ordering::Relaxed) => {}
        Some(Ok(())) => {
            // Its peer may be gone.
            let _ = socket.shutdown().await;
            return None;
        }
        Some(Err(error)) => {
            tracing::debug!(%peer, %error, "connection ended");
            return None;
        }
    }
    let mut bytes = BytesMut::new();
    if let Some((head, mut body)) = desk.returned.into_inner() {
        bytes.extend_from_slice(&head);
        // What was read ahead of it; behind that it ends, as nobody reads any more.
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
        }
    }
    bytes.extend_from_slice(&read_buf);
    bytes.extend_from_slice(&unread);
    Some(Back { socket, bytes: bytes.freeze() })
}

/// Answers a request, or puts it on the desk and never does.
async fn answer(
    routes: &Routes,
    request: hyper::Request<Incoming>,
    desk: &Desk,
) -> Result<Response, Infallible> {
    desk.is_begun.store(true, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    // Behind a body that was not read to its end there is no next request.
    let is_kept = parts.version == Version::HTTP_11 && body.is_end_stream() && !asks_to_close(&parts.headers);
    if let Some(app) = &routes.streams {
        match router::stream(app, &parts).await {
            Found::Audio => return desk.give_back(&parts, body).await,
            Found::Answer(it) if it.extensions().get::<Elsewhere>().is_some() => {
                return desk.send_on(&parts, body).await;
            }
            Found::Answer(response) => return Ok(desk.tell(response, is_kept)),
            Found::Nothing => {}
        }
    }
    let changes = !parts.method.is_safe() || parts.uri.path().starts_with("/admin");
    let visit = match &routes.gate {
        Some(gate) if changes => match gate.enter().await {
            Some(inside) => Some(Visit::new(inside)),
            None => return desk.send_on(&parts, body).await,
        },
        _ => None,
    };
    let mut request = hyper::Request::from_parts(parts, Body::new(body));
    // It lasts until the answer, unless whoever decides about the request ends it.
    if let Some(visit) = &visit {
        request.extensions_mut().insert(visit.clone());
    }
    let response = TowerToHyperService::new(routes.all.clone()).call(request).await?;
    Ok(desk.tell(response, is_kept))
}

impl Desk {
    /// Lets the connection have the request back; the answer never comes. The body waits with it: dropped, it would be read.
    async fn give_back(&self, request: &Parts, body: Incoming) -> Result<Response, Infallible> {
        *self.returned.lock() = Some((head(request), body));
        pending().await
    }

    /// Lets another process have the request, if its body can be told again.
    async fn send_on(&self, request: &Parts, body: Incoming) -> Result<Response, Infallible> {
        let is_chunked = !body.is_end_stream() && !request.headers.contains_key(header::CONTENT_LENGTH);
        if is_chunked {
            // What was taken out of its chunks is no part of a request any more.
            let headers = [(header::RETRY_AFTER, "0"), (header::CONNECTION, "close")];
            let reason = "another process has taken over: ask again\n";
            return Ok(self.tell((StatusCode::SERVICE_UNAVAILABLE, headers, reason).into_response(), false));
        }
        self.give_back(request, body).await
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Notes whether the peer will go on behind this answer.
    fn tell(&self, response: Response, is_kept: bool) -> Response {
        let is_kept = is_kept && !self.is_leaving() && !asks_to_close(response.headers());
        self.is_kept.store(is_kept, Ordering::Relaxed);
        response
    }
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("close"))
}

/// A head that says what `request` says.
fn head(request: &Parts) -> Bytes {
    let version = if request.version == Version::HTTP_10 { "1.0" } else { "1.1" };
    let mut head = format!("{} {} HTTP/{version}\r\n", request.method, request.uri).into_bytes();
    for (name, value) in &request.headers {
        // Writing to memory does not fail.
        let _ = write!(head, "{name}: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}
