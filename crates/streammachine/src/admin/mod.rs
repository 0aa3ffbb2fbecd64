//! The API: what operators and their programs see and change. Reads everything, owns nothing.

pub mod access;
pub mod api;
mod connections;
pub mod icecast;
pub mod password;
pub mod programs;
mod show;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use audio::Time;
use tokio::sync::Semaphore;

use crate::admin::access::Access;
use crate::base::clock::Clock;
use crate::base::throttle::Throttle;
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
    pub access: Access,
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
    /// Closes and moves listeners.
    pub delivery: Arc<Delivery>,
    /// Wrong passwords.
    pub throttle: Throttle,
    /// Places for clients that follow the statistics.
    pub followers: Semaphore,
}

impl Admin {
    /// True for the user and password of a user of the API.
    pub fn knows(&self, authorization: Option<&str>) -> bool {
        self.access.accepts(authorization)
    }

    /// Waits after a wrong password from `ip`, the longer the more there were.
    async fn slow_down(&self, ip: IpAddr) {
        self.throttle.punish(ip, self.clock.mono()).await;
    }
}
