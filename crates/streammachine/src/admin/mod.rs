//! The API: what operators and their programs see and change. Reads everything, owns nothing.

pub mod access;
pub mod api;
mod connections;
pub mod icecast;
pub mod password;
pub mod programs;
pub mod reload;
mod show;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use audio::Time;
use tokio::sync::Semaphore;

use crate::admin::access::{Access, Caller, Refusal};
use crate::admin::reload::Reload;
use crate::base::clock::Clock;
use crate::base::gate::Visit;
use crate::base::live::Live;
use crate::base::throttle::{Account, Throttle};
use crate::hls::Hls;
use crate::listener::Audience;
use crate::listener::delivery::Delivery;
use crate::listener::roster::Roster;
use crate::{mount, stream};

/// What the API works on.
#[derive(Debug)]
pub struct Admin {
    /// All streams.
    pub streams: Arc<stream::registry::Registry>,
    /// All mounts.
    pub mounts: Arc<mount::registry::Registry>,
    /// Who may use it.
    pub access: Live<Access>,
    /// Reads the configuration anew.
    pub reload: Arc<Reload>,
    /// Audio in an original's chunk, which its API tells.
    pub chunk: Duration,
    /// The host's clocks.
    pub clock: Clock,
    /// When the server started.
    pub started: Time,
    /// Whether `X-Forwarded-*` headers are believed.
    pub behind_proxy: bool,
    /// The seats.
    pub audience: Arc<Audience>,
    /// Who is listening.
    pub roster: Arc<Roster>,
    /// Who listens by HTTP Live Streaming.
    pub hls: Arc<Hls>,
    /// Closes and moves listeners.
    pub delivery: Arc<Delivery>,
    /// Wrong passwords, those of sources among them.
    pub throttle: Arc<Throttle>,
    /// Places for clients that follow the statistics.
    pub followers: Semaphore,
}

impl Admin {
    /// Decides about a request. Wrong passwords from one client are answered the later, the more there were;
    /// a `visit` ends before that: who guesses holds up no handoff.
    pub async fn check(&self, caller: Caller<'_>, visit: Option<&Visit>) -> Result<(), Refusal> {
        let client = wire::host::nearest_ip(caller.forwarded_for, self.behind_proxy, caller.peer);
        // The first request of most clients comes without a password; that is no guess.
        let has_password = caller.authorization.is_some();
        if has_password && self.throttle.is_crowded(client) {
            return Err(Refusal::Crowded);
        }
        let given = wire::auth::basic(caller.authorization);
        let account = given.as_ref().map_or(Account::Unknown, |given| Account::User(&given.user));
        let checked = self.access.get().check(caller);
        match checked {
            Err(Refusal::Unauthorized) if has_password => {
                if let Some(visit) = visit {
                    visit.leave();
                }
                self.throttle.punish(client, account, self.clock.mono()).await;
            }
            Ok(()) if has_password => self.throttle.succeeded(client, account),
            _ => {}
        }
        checked
    }

    /// True for the user and password of a user of the API, unless so many wrong ones come from `ip` that none is looked at.
    pub fn knows(&self, ip: IpAddr, authorization: Option<&str>) -> bool {
        !self.throttle.is_crowded(ip) && self.access.get().accepts(authorization)
    }
}
