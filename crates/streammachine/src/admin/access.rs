//! Who may use the API: users with a password, or, where none are required, this machine alone.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wire::auth::{Credentials, Secret};

use crate::admin::password;
use crate::base::live::Live;
use crate::base::net::is_loopback;
use crate::mount::door::Users;

/// What a client is told of whom too many wrong passwords wait for their answers.
pub const CROWDED: &str = "too many wrong passwords came from your address: try again later";

/// The rule.
#[derive(Debug)]
pub enum Access {
    /// Whoever asks from this machine.
    Loopback,
    /// Users by name, with the hashes of their passwords.
    Users(BTreeMap<String, Secret>),
}

/// What is known of a request before it is served.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Where the connection comes from.
    pub peer: IpAddr,
    /// True if a proxy passed it on for somebody else.
    pub forwarded: bool,
    /// Its last `X-Forwarded-For` header: some proxies add one of their own behind that of the client.
    pub forwarded_for: Option<&'a str>,
    /// Its `Authorization` header.
    pub authorization: Option<&'a str>,
    /// Its `Host` header.
    pub host: Option<&'a str>,
    /// Its `Origin` header.
    pub origin: Option<&'a str>,
    /// True if it only reads.
    pub reads: bool,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A user and a password are needed.
    Unauthorized,
    /// Too many wrong passwords of this client wait for their answers: no further one is looked at.
    Crowded,
    /// Without users, only this machine may.
    NotLocal,
    /// A page of another origin must not change anything.
    ForeignOrigin,
}

impl Access {
    /// True if there is such a user with this password.
    pub fn knows(&self, given: &Credentials) -> bool {
        match self {
            Access::Loopback => false,
            Access::Users(users) => {
                // As much work for a name that is not there: how long it takes must not tell the names.
                let hash = users.get(&given.user).or_else(|| users.values().next());
                let fits = hash.is_some_and(|hash| password::verify(&given.password, hash.expose()));
                fits && users.contains_key(&given.user)
            }
        }
    }

    /// Decides about a request.
    pub fn check(&self, caller: Caller<'_>) -> Result<(), Refusal> {
        if !caller.reads && caller.origin.is_some_and(|origin| !is_same_host(origin, caller.host)) {
            return Err(Refusal::ForeignOrigin);
        }
        match self {
            Access::Loopback => {
                let local = is_loopback(caller.peer)
                    && !caller.forwarded
                    && caller.host.is_none_or(names_this_machine);
                if local { Ok(()) } else { Err(Refusal::NotLocal) }
            }
            Access::Users(_) if self.accepts(caller.authorization) => Ok(()),
            Access::Users(_) => Err(Refusal::Unauthorized),
        }
    }

    /// True if an `Authorization` header names a user with its password.
    pub fn accepts(&self, authorization: Option<&str>) -> bool {
        wire::auth::basic(authorization).is_some_and(|given| self.knows(&given))
    }
}

impl Users for Live<Access> {
    fn know(&self, given: &Credentials) -> bool {
        self.get().knows(given)
    }
}

fn is_same_host(origin: &str, host: Option<&str>) -> bool {
    let origin = origin.split_once("://").map_or(origin, |(_, host)| host);
    host.is_some_and(|host| host.eq_ignore_ascii_case(origin))
}

/// True for a host that cannot be another machine's name: a page of one could otherwise reach us by resolving its own
/// name to the loopback address.
fn names_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOCAL: Caller<'_> = Caller {
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        forwarded: false,
        forwarded_for: None,
        authorization: None,
        host: Some("localhost:8001"),
        origin: None,
        reads: true,
    };

    #[test]
    fn without_users_only_this_machine_is_served() {
        let check = |caller| Access::Loopback.check(caller);
        assert_eq!(check(LOCAL), Ok(()));
        assert_eq!(check(Caller { host: Some("[::1]:8001"), ..LOCAL }), Ok(()));
        assert_eq!(check(Caller { host: Some("127.0.0.1"), ..LOCAL }), Ok(()));
        assert_eq!(check(Caller { host: None, ..LOCAL }), Ok(()));
        assert_eq!(check(Caller { peer: [192, 0, 2, 1].into(), ..LOCAL }), Err(Refusal::NotLocal));
        assert_eq!(check(Caller { forwarded: true, ..LOCAL }), Err(Refusal::NotLocal));
        assert_eq!(check(Caller { host: Some("rebound.example:8001"), ..LOCAL }), Err(Refusal::NotLocal));
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let foreign = Caller { origin: Some("https://evil.example"), ..LOCAL };
        assert_eq!(Access::Loopback.check(foreign), Ok(()));
        assert_eq!(Access::Loopback.check(Caller { reads: false, ..foreign }), Err(Refusal::ForeignOrigin));
        let own = Caller { origin: Some("http://localhost:8001"), reads: false, ..LOCAL };
        assert_eq!(Access::Loopback.check(own), Ok(()));
    }

    #[test]
    fn users_are_known_by_their_password_from_anywhere() {
        let hash = Secret::new("sha1$salt1234$1$f93bf1a2bb10e1fce2710f9ed957346cfb31b8f0".to_owned());
        let access = Access::Users(BTreeMap::from([("admin".to_owned(), hash)]));
        let remote = Caller { peer: [192, 0, 2, 1].into(), ..LOCAL };
        let with = |header| Caller { authorization: Some(header), ..remote };
        assert_eq!(access.check(with("Basic YWRtaW46c2VjcmV0")), Ok(()));
        assert_eq!(access.check(with("Basic YWRtaW46d3Jvbmc=")), Err(Refusal::Unauthorized));
        assert_eq!(access.check(with("Basic bm9ib2R5OnNlY3JldA==")), Err(Refusal::Unauthorized));
        assert_eq!(access.check(remote), Err(Refusal::Unauthorized));
        assert_eq!(access.check(LOCAL), Err(Refusal::Unauthorized));
    }
}
