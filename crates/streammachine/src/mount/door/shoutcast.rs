//! Sources that speak SHOUTcast v1: a password, the answer, headers, audio.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use wire::announced::Announced;
use wire::shoutcast::{INVALID_PASSWORD, Login, WELCOME, parse_headers};

use super::{Door, Guest, welcome};
use crate::base::head::{Failure, Incoming, answer_and_close};
use crate::base::throttle::Account;
use crate::mount::Sender;
use crate::mount::admission;
use crate::mount::history::{Asked, Protocol};
use crate::source::reader::Body;
use crate::source::{Origin, Source};

/// The answer when there is no place. Encoders take all that does not begin with `OK` for a refusal; some show it.
const TOO_MANY: &[u8] = b"too many sources connected\r\n";

impl Door {
    pub(super) async fn answer_login(
        &self,
        mut incoming: Incoming<TcpStream>,
        peer: SocketAddr,
        login: &Login,
    ) {
        if self.throttle.is_crowded(peer.ip()) {
            return answer_and_close(incoming.into_parts().0, INVALID_PASSWORD).await;
        }
        let asked = Asked::new(peer, Protocol::Shoutcast);
        let admitted = match admission::by_login(&self.mounts, login) {
            Ok(admitted) => admitted,
            Err(denied) => {
                // Whoever waits for a refusal takes no place among those whose heads are read.
                let (socket, _) = incoming.into_parts();
                self.refuse(asked, &denied, Account::Unknown).await;
                return answer_and_close(socket, INVALID_PASSWORD).await;
            }
        };
        admitted.account(|account| self.throttle.succeeded(peer.ip(), account));
        let dj = admitted.person.into_dj();
        let mount = admitted.mount;
        let asked = asked.request("", &mount.path()).user(dj.as_deref());
        let Some(place) = self.find_place(&asked, &mount) else {
            return answer_and_close(incoming.into_parts().0, TOO_MANY).await;
        };
        let id = mount.expect(Sender { dj: dj.clone(), ip: Some(peer.ip()), agent: None }).await;
        // Most encoders send nothing more before this.
        if !welcome(incoming.socket(), WELCOME).await {
            return mount.withdraw(id).await;
        }
        let headers = match incoming.until(parse_headers).await {
            Ok((headers, length)) => {
                incoming.take(length);
                headers
            }
            Err(failure) => {
                let why = match failure {
                    Failure::Gone => "the connection ended after the password".to_owned(),
                    Failure::Late { .. } => "no end of the headers came after the password".to_owned(),
                    Failure::Malformed(error) => format!("the headers were not understood: {error}"),
                };
                tracing::info!(%peer, mount = mount.key(), reason = why, "source refused");
                mount.history().refused(asked, why, self.clock.now().wall);
                mount.withdraw(id).await;
                return answer_and_close(incoming.into_parts().0, b"").await;
            }
        };
        let pairs = || headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let announced = Announced::read(pairs());
        if self.find_foreign(&asked.clone().headers(pairs()), &announced, &mount).is_some() {
            mount.withdraw(id).await;
            // It was let in when it had not said so yet; the protocol has no words for this.
            return answer_and_close(incoming.into_parts().0, b"").await;
        }
        let agent = pairs().find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
        let agent = agent.map_or(String::new(), |(_, value)| value.to_owned());
        let origin = Origin::Shoutcast { peer, agent };
        let source = Source::of_encoder(id, origin, dj, announced, self.clock.now().wall);
        let asked = asked.headers(pairs());
        let (socket, first) = incoming.into_parts();
        self.read(socket, first, Guest { mount, source, asked, place, body: Body::Identity }).await;
    }
}
