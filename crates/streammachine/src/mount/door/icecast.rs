//! Sources that speak HTTP: SOURCE and PUT, and libshout's probes.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::net::TcpStream;
use wire::announced::Announced;
use wire::head::Head;
use wire::source::{self as request, SourceRequest, answers, classify};

use super::{Door, Guest, welcome};
use crate::base::head::{Incoming, answer_and_close};
use crate::mount::Sender;
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
            SourceRequest::Metadata(_) | SourceRequest::MetadataForm(_) => {
                self.take_metadata(socket, peer, request).await;
            }
            SourceRequest::Poke => answer_and_close(socket, &answers::bad_request("no such request")).await,
            other => {
                if let Some(visitor) = self.reception.take(Visitor { socket, peer, request }) {
                    let is_probe = other == SourceRequest::Options;
                    let answer = if is_probe { answers::options() } else { answers::not_for_listeners() };
                    answer_and_close(visitor.socket, &answer).await;
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
                    Some(_) => self.refuse(asked, &denied, denied.refusal.account()).await,
                    None => self.challenge(asked, &denied),
                }
                return answer_and_close(socket, &answers::unauthorized()).await;
            }
        };
        admitted.account(|account| self.throttle.succeeded(peer.ip(), account));
        let announced = Announced::read(head.headers());
        if let Some(foreign) = self.find_foreign(&asked, &announced, &admitted.mount) {
            return answer_and_close(socket, &answers::unsupported(&foreign.to_string())).await;
        }
        let Some(place) = self.find_place(&asked, &admitted.mount) else {
            return answer_and_close(socket, &answers::refusal(403, "too many sources connected", "")).await;
        };
        let agent = head.header("user-agent").unwrap_or_default().to_owned();
        let dj = admitted.person.into_dj();
        let sender = Sender { dj: dj.clone(), ip: Some(peer.ip()), agent: Some(agent.clone()) };
        let id = admitted.mount.expect(sender).await;
        if !welcome(&mut socket, wanted.welcome()).await {
            return admitted.mount.withdraw(id).await;
        }
        let body = wanted.body.into();
        let origin = Origin::Icecast { peer, agent };
        let source = Source::of_encoder(id, origin, dj, announced, self.clock.now().wall);
        self.read(socket, first, Guest { mount: admitted.mount, source, asked, place, body }).await;
    }
}
