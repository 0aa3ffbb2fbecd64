//! Accepts connections on the listener and API ports and reads their first head: a stream goes the fast way at once.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use wire::head::{Head, Protocol};
use wire::metadata::Dialect;
use wire::path::split_target;
use wire::source::{SourceRequest, answers, classify};
use wire::upstream::SOURCE_HEADER;

use crate::admin::icecast::lines;
use crate::base::gate::Inside;
use crate::base::head::{self, Failure, Request, answer_and_close};
use crate::base::net::{Accepted, Acceptor, Role, Stray};
use crate::base::task;
use crate::http::kept::{Back, Routes, serve_http};
use crate::http::{Answer, App, Ask, HttpPlace, Short, router};
use crate::listener::answer;
use crate::listener::delivery::Listener;

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
    let guests = Guests::new(&app, port);
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            () = stop.cancelled() => return,
        };
        guests.serve(accepted);
    }
}

/// Serves connections that come from another process.
#[derive(Clone, Debug)]
pub struct Guests {
    app: Arc<App>,
    port: Port,
    routes: axum::Router,
}

impl Guests {
    /// Those that came to `port`.
    pub fn new(app: &Arc<App>, port: Port) -> Self {
        Guests { app: Arc::clone(app), port, routes: router::build(Arc::clone(app), port) }
    }

    /// Serves one whose first request is to be read.
    pub fn serve(&self, accepted: Accepted) {
        task::spawn("listener connection", self.connection().run(accepted));
    }

    /// Serves one that was kept: `bytes` were read and not answered.
    pub fn serve_kept(&self, socket: TcpStream, peer: SocketAddr, bytes: Bytes) {
        task::spawn("listener connection", self.connection().keep(socket, peer, bytes));
    }

    fn connection(&self) -> Connection {
        Connection { app: Arc::clone(&self.app), port: self.port, routes: self.routes.clone() }
    }
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
        if app.gate.enter().await.is_none() {
            return self.stray(socket, peer, request.bytes(), false);
        }
        if self.port != Port::Api {
            if request.head.method == "STATS" {
                return self.follow(socket, peer, &request).await;
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
        }
        self.serve(socket, peer, request).await;
    }

    /// Goes on with a connection that was kept elsewhere.
    async fn keep(self, socket: TcpStream, peer: SocketAddr, bytes: Bytes) {
        let app = Arc::clone(&self.app);
        let _connected = app.gate.connected();
        let Some(place) = self.app.http_place() else { return };
        let Some(back) = self.hand_on(socket, peer, bytes, place).await else { return };
        self.take_back(back, peer).await;
    }

    /// Serves what the HTTP server gave back: a request for audio, unless another process has taken over.
    async fn take_back(self, back: Back, peer: SocketAddr) {
        let Back { socket, bytes } = back;
        let Some(inside) = self.app.gate.enter().await else {
            return self.stray(socket, peer, bytes, true);
        };
        let request = match head::take(bytes) {
            Ok(request) => request,
            Err(failure) => {
                drop(inside);
                return refuse(socket, &failure).await;
            }
        };
        match self.find_audio(&request.head, peer) {
            Some(answer) => self.play(socket, peer, answer, &request.head, inside).await,
            // The two ways must not send it to each other for ever, should they ever read it differently.
            None => {
                drop(inside);
                let reason = "This is for audio in one reading and for a page in another.\n";
                answer_and_close(socket, &answers::refusal(400, "Bad Request", reason)).await;
            }
        }
    }

    /// Serves a request: audio on the fast path, all else by the HTTP server.
    async fn serve(self, socket: TcpStream, peer: SocketAddr, request: Request) {
        let app = Arc::clone(&self.app);
        let Some(inside) = app.gate.enter().await else {
            return self.stray(socket, peer, request.bytes(), false);
        };
        if let Some(answer) = self.find_audio(&request.head, peer) {
            return self.play(socket, peer, answer, &request.head, inside).await;
        }
        drop(inside);
        let Some(place) = self.app.http_place() else {
            let short = Short::new(503, "Too many connections.\n").with([("retry-after", "30".to_owned())]);
            let head = &request.head;
            return answer_and_close(socket, &short.encode(is_http10(head), is_head(head))).await;
        };
        if let Some(back) = self.hand_on(socket, peer, request.bytes(), place).await {
            self.take_back(back, peer).await;
        }
    }

    /// Answers a request for audio, which goes the fast way; stays inside until a listener is on it.
    async fn play(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        answer: Answer,
        request: &Head,
        inside: Inside,
    ) {
        let (http10, head_only) = (is_http10(request), is_head(request));
        match answer {
            Answer::Head(headers) => {
                drop(inside);
                answer_and_close(socket, &answer::encode("200 OK", http10, &headers)).await;
            }
            Answer::Short(short) => {
                drop(inside);
                answer_and_close(socket, &short.encode(http10, head_only)).await;
            }
            Answer::Audio { opened, hearing, headers } => {
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

    /// Tells an encoder's panel how it goes, until it leaves or asks the process that has taken over.
    async fn follow(self, socket: TcpStream, peer: SocketAddr, request: &Request) {
        let host = request.head.header("host");
        tokio::select! {
            () = lines::serve(&self.app.admin, socket, peer, &request.head, host) => {}
            () = self.app.gate.given_away() => {}
        }
    }

    /// Leaves a connection to the process that has taken over.
    fn stray(&self, socket: TcpStream, peer: SocketAddr, bytes: Bytes, is_kept: bool) {
        let role = if self.port == Port::Api { Role::Api } else { Role::Listeners };
        self.app.gate.stray(Stray { role, socket, peer, bytes, is_kept });
    }

    /// The answer, if the request is for audio.
    fn find_audio(&self, head: &Head, peer: SocketAddr) -> Option<Answer> {
        let head_only = head.method == "HEAD";
        if self.port == Port::Api || !(head_only || head.method == "GET") {
            return None;
        }
        let (path, _) = split_target(&head.target).ok()?;
        let stream = self.app.audio_at(&path, |name| head.header(name).map(Cow::Borrowed))?;
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

    /// Lets the HTTP server have the connection, which holds its place as long.
    async fn hand_on(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        first: Bytes,
        _place: HttpPlace,
    ) -> Option<Back> {
        let app = &self.app;
        let streams = (self.port != Port::Api).then(|| Arc::clone(app));
        let routes = Routes { streams, gate: Some(Arc::clone(&app.gate)), all: self.routes.clone() };
        serve_http(socket, peer, first, routes, true, app.gate.given_away()).await
    }
}

fn is_http10(head: &Head) -> bool {
    head.protocol != Protocol::Http11
}

fn is_head(head: &Head) -> bool {
    head.method == "HEAD"
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
    /// The answer as bytes, for a connection that ends with it; without its text if the head alone was asked for.
    fn encode(&self, http10: bool, head_only: bool) -> bytes::Bytes {
        let status = http::StatusCode::from_u16(self.status).unwrap_or(http::StatusCode::BAD_REQUEST);
        let mut headers = self.headers.clone();
        headers.push(("content-type", "text/plain; charset=utf-8".to_owned()));
        headers.push(("content-length", self.text.len().to_string()));
        let head = answer::encode(&status.to_string(), http10, &headers);
        let text = if head_only { "" } else { &self.text };
        [&head[..], text.as_bytes()].concat().into()
    }
}
