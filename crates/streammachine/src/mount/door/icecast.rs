//! Sources that speak HTTP: SOURCE and PUT, and libshout's probes.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::net::TcpStream;
use wire::announced::Announced;
use wire::head::Head;
use wire::source::{self as request, SourceRequest, answers, classify};

use super::{Door, Guest, welcome};
use crate::base::head::{Incoming, answer_and_close};
use crate::mount::admission;
use crate::mount::history::{Asked, Protocol};
use crate::mount::reception::Visitor;
use crate::source::{Origin, Source};

impl Door {
    pub(super) async fn answer_http(&self, incoming: Incoming<TcpStream>, peer: SocketAddr) {
        let (socket, request) = incoming.request().await;
        let request = match request {
            Ok(request) => request,
            Err(failure) => return self.misunderstood(socket, peer, &failure).await,
        };
        match classify(&request.head) {
            SourceRequest::Source(source) => {
                self.admit(socket, peer, &request.head, source, request.rest).await;
            }
            SourceRequest::Metadata(_) | SourceRequest::MetadataForm => {
                self.take_metadata(socket, peer, request).await;
            }
            SourceRequest::Options => answer_and_close(socket, &answers::options()).await,
            SourceRequest::Poke => answer_and_close(socket, &answers::bad_request("no such request")).await,
            SourceRequest::Other => {
                if let Some(visitor) = self.reception.take(Visitor { socket, peer, request }) {
                    answer_and_close(visitor.socket, &answers::not_for_listeners()).await;
                }
            }
        }
    }

    async fn admit(
        &self,
        mut socket: TcpStream,
        peer: SocketAddr,
        head: &Head,
        wanted: request::Source,
        first: Bytes,
    ) {
        if self.throttle.is_crowded(peer.ip()) {
            return answer_and_close(socket, &answers::unauthorized()).await;
        }
        let given = wire::auth::basic(head.header("authorization"));
        let asked = Asked::new(peer, Protocol::Icecast)
            .request(&head.method, &wanted.mount)
            .user(given.as_ref().map(|given| given.user.as_str()))
            .headers(head.headers());
        let admitted = match admission::by_path(&self.mounts, &wanted.mount, given.as_ref()) {
            Ok(admitted) => admitted,
            Err(denied) => {
                match given {
                    Some(_) => self.refuse(asked, &denied).await,
                    None => self.challenge(asked, &denied),
                }
                return answer_and_close(socket, &answers::unauthorized()).await;
            }
        };
        self.throttle.succeeded(peer.ip());
        let Some(place) = self.find_place(&asked, &admitted.mount) else {
            return answer_and_close(socket, &answers::refusal(403, "too many sources connected", "")).await;
        };
        if !welcome(&mut socket, wanted.welcome()).await {
            return;
        }
        let body = wanted.body.into();
        let agent = head.header("user-agent").unwrap_or_default().to_owned();
        let origin = Origin::Icecast { peer, agent };
        let announced = Announced::read(head.headers());
        let source = Source::of_encoder(origin, admitted.person.into_dj(), announced, self.clock.now().wall);
        self.read(socket, first, Guest { mount: admitted.mount, source, asked, place, body }).await;
    }
}
