//! Accepts connections on the listener and API ports and reads their first head: a stream goes the fast way at once.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use wire::head::{Head, Protocol};
use wire::metadata::Dialect;
use wire::path::split_target;
use wire::source::{SourceRequest, answers, classify};
use wire::upstream::SOURCE_HEADER;

use crate::admin::icecast::lines;
use crate::base::gate::Gate;
use crate::base::head::{self, Failure, Request, answer_and_close};
use crate::base::net::{Accepted, Acceptor, PeerAddress, Role, Stray};
use crate::base::task;
use crate::http::io::PrefixedIo;
use crate::http::{Answer, App, Ask, Short, router};
use crate::listener::answer;
use crate::listener::body::Cut;
use crate::listener::delivery::Listener;

/// A kept connection must send its next head within this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Room for the kernel to hold unsent audio: some seconds for a fast client, and the bound on what a stalled one costs.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// What a port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Streams, pages, and the API unless it has a port of its own.
    Listeners {
        /// Whether the API is here too.
        api: bool,
    },
    /// The API alone.
    Api,
}

/// Serves a port until `stop`.
pub async fn serve(app: Arc<App>, acceptor: Acceptor, port: Port, stop: CancellationToken) {
    let routes = router::build(Arc::clone(&app), port);
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let connection = Connection { app: Arc::clone(&app), port, routes: routes.clone() };
        task::spawn("listener connection", connection.run(accepted));
    }
}

/// Serves one connection that was accepted elsewhere.
pub fn serve_one(app: Arc<App>, accepted: Accepted, port: Port) {
    let routes = router::build(Arc::clone(&app), port);
    task::spawn("listener connection", Connection { app, port, routes }.run(accepted));
}

struct Connection {
    app: Arc<App>,
    port: Port,
    routes: axum::Router,
}

impl Connection {
    async fn run(self, accepted: Accepted) {
        let Accepted { mut socket, peer, first, permit } = accepted;
        let app = Arc::clone(&self.app);
        let _connected = app.gate.connected();
        let request = match head::read(&mut socket, first, permit, self.app.heads_max).await {
            Ok(request) => request,
            Err(failure) => return refuse(socket, &failure).await,
        };
        if *self.app.log_requests.get() {
            // Without its query, where old encoders put passwords.
            let path = request.head.target.split('?').next().unwrap_or_default();
            tracing::info!(%peer, method = request.head.method, path, "request");
        }
        let role = if self.port == Port::Api { Role::Api } else { Role::Listeners };
        let stray = |socket, request: &Request| Stray { role, socket, peer, bytes: request.bytes() };
        if app.gate.enter().await.is_none() {
            return app.gate.stray(stray(socket, &request));
        }
        if self.port == Port::Api {
            return self.hand_on(socket, peer, request).await;
        }
        if request.head.method == "STATS" {
            let host = request.head.header("host");
            return lines::serve(&self.app.admin, socket, peer, &request.head, host).await;
        }
        let forwarded_for = request.head.last_header("x-forwarded-for");
        let client = wire::host::nearest_ip(forwarded_for, self.app.behind_proxy, peer.ip());
        match classify(&request.head) {
            // Users of the API are answered as Icecast's administrator is.
            SourceRequest::Metadata(asked)
                if asked.dialect == Dialect::Icecast
                    && self.app.admin.knows(client, request.head.header("authorization")) => {}
            SourceRequest::Metadata(_) | SourceRequest::MetadataForm(_) => {
                let client = SocketAddr::new(client, peer.port());
                return self.app.door.take_metadata(socket, client, request).await;
            }
            _ => {}
        }
        let Some(inside) = app.gate.enter().await else {
            return app.gate.stray(stray(socket, &request));
        };
        let http10 = is_http10(&request.head);
        match self.find_audio(&request.head, peer) {
            None => {
                drop(inside);
                self.hand_on(socket, peer, request).await;
            }
            Some(Answer::Head(headers)) => {
                drop(inside);
                answer_and_close(socket, &answer::encode("200 OK", http10, &headers)).await
            }
            Some(Answer::Short(short)) => {
                drop(inside);
                answer_and_close(socket, &short.encode(http10)).await;
            }
            Some(Answer::Audio { opened, hearing, headers }) => {
                let status = if opened.part.is_some() { "206 Partial Content" } else { "200 OK" };
                let mut feed = opened.feed;
                feed.prefix(answer::encode(status, http10, &headers));
                match into_plain_socket(socket) {
                    Ok(socket) => {
                        self.app.delivery.take(Listener::new(socket, feed, hearing), &self.app.clock)
                    }
                    Err(error) => tracing::debug!(%peer, %error, "a listener was gone at once"),
                }
            }
        }
    }

    /// The answer, if the request is for audio that can go the fast way.
    fn find_audio(&self, head: &Head, peer: SocketAddr) -> Option<Answer> {
        let head_only = head.method == "HEAD";
        if !(head_only || head.method == "GET")
            || router::wants_page(head.header("accept"), head.header("icy-metadata"))
        {
            return None;
        }
        let (path, _) = split_target(&head.target).ok()?;
        let stream = self.app.find_stream(&path)?;
        let ask = Ask {
            head_only,
            target: &head.target,
            who: self.app.who(|name| head.header(name), peer),
            origin: head.header("origin"),
            icy: head.header("icy-metadata"),
            puller: head.header(SOURCE_HEADER),
            range: head.header("range").filter(|_| head.header("if-range").is_none()),
        };
        Some(self.app.decide(&stream, &ask))
    }

    /// Lets the HTTP server have the connection.
    async fn hand_on(self, socket: TcpStream, peer: SocketAddr, request: Request) {
        let Some(_place) = self.app.http_place() else {
            let short = Short::new(503, "Too many connections.\n").with([("retry-after", "30".to_owned())]);
            return answer_and_close(socket, &short.encode(is_http10(&request.head))).await;
        };
        let app = Arc::clone(&self.app);
        let hls = (self.port != Port::Api).then_some(self.app);
        let gate = Some(Arc::clone(&app.gate));
        let leave = async { app.gate.given_away().await };
        serve_http(socket, peer, request, Routes { hls, gate, all: self.routes }, true, leave).await;
    }
}

/// What the HTTP server answers with.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    /// Where playlists and segments are served: what they come from.
    pub hls: Option<Arc<App>>,
    /// What requests that change something go through.
    pub gate: Option<Arc<Gate>>,
    /// Everything else.
    pub all: axum::Router,
}

impl Routes {
    async fn answer(self, request: hyper::Request<Incoming>) -> Result<Response, Infallible> {
        let (parts, body) = request.into_parts();
        if let Some(app) = &self.hls
            && let Some(response) = router::hls(app, &parts).await
        {
            return Ok(response);
        }
        let changes = !parts.method.is_safe() || parts.uri.path().starts_with("/admin");
        let _inside = match &self.gate {
            Some(gate) if changes => match gate.enter().await {
                Some(inside) => Some(inside),
                None => return Ok(router::short(&elsewhere())),
            },
            _ => None,
        };
        let request = hyper::Request::from_parts(parts, Body::new(body));
        TowerToHyperService::new(self.all.clone()).call(request).await
    }
}

/// The answer to who would change what another process has by now; the connection is closed behind it.
fn elsewhere() -> Short {
    let text = "Another process has taken over: ask again.\n";
    Short::new(503, text).with([("retry-after", "0".to_owned())])
}

/// Lets the HTTP server have a connection, from its first byte on, for one request or as long as it is kept.
pub(super) async fn serve_http(
    socket: TcpStream,
    peer: SocketAddr,
    request: Request,
    routes: Routes,
    keep_alive: bool,
    leave: impl Future<Output = ()>,
) {
    let mut prefix = bytes::BytesMut::from(&request.raw[..]);
    prefix.extend_from_slice(&request.rest);
    let io = TokioIo::new(PrefixedIo::new(prefix.freeze(), socket));
    let cut = Cut::default();
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        request.extensions_mut().insert(cut.clone());
        routes.clone().answer(request)
    });
    let server = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE)
        .keep_alive(keep_alive)
        .max_buf_size(64 * 1024)
        .serve_connection(io, service);
    tokio::pin!(server, leave);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            result = &mut server => {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                return;
            }
            () = cut.0.cancelled() => {
                tracing::debug!(%peer, "connection cut: too slow");
                return;
            }
            () = &mut leave, if !is_leaving => {
                is_leaving = true;
                server.as_mut().graceful_shutdown();
            }
        }
    }
}

fn is_http10(head: &Head) -> bool {
    head.protocol != Protocol::Http11
}

/// The socket, out of the runtime's hands, with its send buffer bounded.
fn into_plain_socket(socket: TcpStream) -> std::io::Result<std::os::fd::OwnedFd> {
    let socket = socket.into_std()?;
    socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    Ok(socket.into())
}

async fn refuse(socket: TcpStream, failure: &Failure) {
    let answer = match failure {
        Failure::Gone | Failure::Late { begun: false } => return,
        Failure::Late { begun: true } => {
            answers::refusal(408, "Request Timeout", "The request head took too long.\n")
        }
        Failure::Malformed(error) => {
            let (status, reason) = error.status();
            answers::refusal(status, reason, &format!("{error}\n"))
        }
    };
    answer_and_close(socket, &answer).await;
}

impl Short {
    /// The answer as bytes, for a connection that ends with it.
    fn encode(&self, http10: bool) -> bytes::Bytes {
        let status = http::StatusCode::from_u16(self.status).unwrap_or(http::StatusCode::BAD_REQUEST);
        let mut headers = self.headers.clone();
        headers.push(("content-type", "text/plain; charset=utf-8".to_owned()));
        headers.push(("content-length", self.text.len().to_string()));
        let head = answer::encode(&status.to_string(), http10, &headers);
        [&head[..], self.text.as_bytes()].concat().into()
    }
}
