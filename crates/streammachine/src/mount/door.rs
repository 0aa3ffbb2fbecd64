//! The source port: encoders come in here. Also takes their metadata requests, on whichever port they come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::chunked;
use wire::head::Head;
use wire::metadata::MetadataRequest;
use wire::source::{self as request, SourceRequest, answers, classify};

use crate::base::clock::Clock;
use crate::base::head::{self, Failure, answer_and_close};
use crate::base::net::{Accepted, Acceptor};
use crate::base::task;
use crate::base::throttle::Throttle;
use crate::mount::Mount;
use crate::mount::registry::Registry;
use crate::source::reader::{self, Body, Limits};
use crate::source::{End, Origin, Source};

/// A source must say something within this; the whole head has longer.
const FIRST_BYTE: Duration = Duration::from_secs(2);
/// The answer to a source must be taken within this.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Lets sources in.
#[derive(Debug)]
pub struct Door {
    mounts: Arc<Registry>,
    clock: Clock,
    throttle: Throttle,
    heads_max: usize,
    places: Arc<Semaphore>,
}

impl Door {
    /// A door to `mounts` for at most `sources_max` sources at once.
    pub fn new(mounts: Arc<Registry>, clock: Clock, heads_max: usize, sources_max: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(sources_max));
        Arc::new(Door { mounts, clock, throttle: Throttle::default(), heads_max, places })
    }

    /// Serves the source port until `stop`.
    pub async fn serve(self: Arc<Self>, acceptor: Acceptor, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = acceptor.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let door = Arc::clone(&self);
            task::spawn("source connection", async move { door.answer(accepted).await });
        }
    }

    async fn answer(&self, accepted: Accepted) {
        let Accepted { mut socket, peer, permit } = accepted;
        // A connection that says nothing is closed sooner than one that is slow.
        if timeout(FIRST_BYTE, socket.peek(&mut [0])).await.is_err() {
            return answer_and_close(socket, &answers::bad_request("no request within 2 s")).await;
        }
        let request = match head::read(&mut socket, permit, self.heads_max).await {
            Ok(request) => request,
            Err(Failure::Gone) => return,
            Err(failure @ Failure::Late { .. }) => {
                return answer_and_close(socket, &answers::bad_request(&failure.to_string())).await;
            }
            Err(Failure::Malformed(error)) => {
                tracing::info!(%peer, %error, "a source's request was not understood");
                return answer_and_close(socket, &answers::bad_request(&error.to_string())).await;
            }
        };
        match classify(&request.head) {
            SourceRequest::Source(source) => {
                self.admit(socket, peer, &request.head, source, request.rest).await
            }
            SourceRequest::Metadata(metadata) => {
                let answer = self.metadata(&request.head, &metadata, peer).await;
                answer_and_close(socket, &answer).await;
            }
            SourceRequest::Options => answer_and_close(socket, &answers::options()).await,
            SourceRequest::Poke => answer_and_close(socket, &answers::bad_request("no such request")).await,
            SourceRequest::Other => answer_and_close(socket, &answers::not_for_listeners()).await,
        }
    }

    async fn admit(
        &self,
        mut socket: TcpStream,
        peer: SocketAddr,
        head: &Head,
        asked: request::Source,
        first: Bytes,
    ) {
        let Some(mount) = self.authorize(&asked.mount, head, peer).await else {
            return answer_and_close(socket, &answers::unauthorized()).await;
        };
        let Ok(place) = self.places.try_acquire() else {
            tracing::warn!(%peer, "a source was refused: limits.sources_max are connected");
            return answer_and_close(socket, &answers::refusal(403, "too many sources connected", "")).await;
        };
        let answer = asked.welcome();
        if !matches!(timeout(ANSWER_TIME, socket.write_all(answer)).await, Ok(Ok(()))) {
            return;
        }
        let agent = head.header("user-agent").unwrap_or_default().to_owned();
        let source = Source::new(Origin::Icecast { peer, agent }, self.clock.now().wall);
        let Some(output) = mount.add(source).await else { return };
        let body = match asked.body {
            request::Body::Identity => Body::Identity,
            request::Body::Length(length) => Body::Length(length),
            request::Body::Chunked => Body::Chunked(chunked::Decoder::default()),
        };
        let limits = Limits { silence_max: mount.silence_max(), hint: mount.config().format };
        // The mount may end while its source goes on to its own end.
        drop(mount);
        let ends_itself = matches!(body, Body::Length(_));
        let end = reader::run(&mut socket, body, first, limits, self.clock, output).await;
        if ends_itself && end == End::Closed {
            // It waits for the end of the answer; bytes that came behind its audio must not take that away.
            drop(place);
            answer_and_close(socket, b"").await;
        }
    }

    /// The mount, if the request names one and knows its password. A wrong password is answered the later the more
    /// there were.
    async fn authorize(&self, path: &str, head: &Head, peer: SocketAddr) -> Option<Arc<Mount>> {
        let credentials = wire::auth::basic(head.header("authorization"));
        let mount = self.mounts.find(path.strip_prefix('/').unwrap_or(path));
        let password = mount.as_ref().and_then(|mount| mount.config().password.clone());
        let right = match (&credentials, &password) {
            (Some(given), Some(password)) => password.matches(&given.password),
            _ => false,
        };
        if right {
            self.throttle.succeeded(peer.ip());
            return mount;
        }
        // The first try of libshout comes without credentials, on purpose.
        if let Some(given) = credentials {
            let reason = match (&mount, &password) {
                (None, _) => "there is no such mount",
                (Some(_), None) => "the mount has no password set",
                (Some(_), Some(_)) => "the password is wrong",
            };
            tracing::info!(%peer, mount = path, user = given.user, reason, "source refused");
            tokio::time::sleep(self.throttle.failed(peer.ip(), self.clock.mono())).await;
        }
        None
    }

    /// Answers a metadata request.
    pub async fn metadata(&self, head: &Head, asked: &MetadataRequest, peer: SocketAddr) -> Bytes {
        let Some(path) = &asked.mount else { return answers::metadata_unknown_mount() };
        let Some(mount) = self.authorize(path, head, peer).await else { return answers::unauthorized() };
        if !asked.is_update() {
            return answers::metadata_unknown_action();
        }
        mount.set_metadata(asked.metadata()).await;
        answers::metadata_done()
    }
}
