//! How far an address reaches: what strangers name must not lead into this machine or its network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The whole internet.
    Public,
    /// The network of an organisation (RFC 1918, RFC 4193), or of a provider's customers (RFC 6598).
    Private,
    /// One link, where clouds tell machines their secrets (RFC 3927, RFC 4291).
    Link,
    /// This machine.
    Loopback,
    /// No single machine: multicast, broadcast, reserved.
    Nowhere,
}

impl Reach {
    /// The reach of `ip`; an IPv4 address within an IPv6 address is taken as that.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => of_v6(ip),
        }
    }

    /// True if somebody at an address of this reach may name one of the reach `to`.
    pub fn may_lead(self, to: Reach) -> bool {
        to == Reach::Public || (to == self && to != Reach::Nowhere)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Public => "a public address",
            Reach::Private => "a private address",
            Reach::Link => "a link-local address",
            Reach::Loopback => "an address of this machine",
            Reach::Nowhere => "an address of no machine",
        })
    }
}

fn of_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        [0 | 127, ..] => Reach::Loopback,
        [169, 254, ..] => Reach::Link,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Reach::Private,
        [224..=255, ..] => Reach::Nowhere,
        _ => Reach::Public,
    }
}

fn of_v6(ip: Ipv6Addr) -> Reach {
    match ip.segments() {
        // The unspecified address connects to this machine.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Reach::Loopback,
        // IPv4 behind a translator (RFC 6052), and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => of_v4(embedded(high, low)),
        [0xfe80..=0xfebf, ..] => Reach::Link,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Reach::Private,
        [0xff00..=0xffff, ..] => Reach::Nowhere,
        _ => Reach::Public,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_reach() {
        use Reach::{Link, Loopback, Nowhere, Private, Public};
        for (ip, reach) in [
            ("192.0.2.1", Public),
            ("172.15.0.1", Public),
            ("172.32.0.1", Public),
            ("100.63.0.1", Public),
            ("2001:db8::1", Public),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("fd00::1", Private),
            ("169.254.169.254", Link),
            ("fe80::1", Link),
            ("127.0.0.1", Loopback),
            ("127.9.9.9", Loopback),
            ("0.0.0.0", Loopback),
            ("::", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("64:ff9b::7f00:1", Loopback),
            ("64:ff9b::a9fe:a9fe", Link),
            ("2002:a00:1::", Private),
            ("224.0.0.1", Nowhere),
            ("255.255.255.255", Nowhere),
            ("ff02::1", Nowhere),
        ] {
            assert_eq!(Reach::of(ip.parse().unwrap()), reach, "{ip}");
        }
    }

    #[test]
    fn nobody_leads_nearer_than_they_are() {
        use Reach::{Link, Loopback, Nowhere, Private, Public};
        let all = [Public, Private, Link, Loopback, Nowhere];
        for from in all {
            let to: Vec<Reach> = all.into_iter().filter(|&to| from.may_lead(to)).collect();
            match from {
                Public | Nowhere => assert_eq!(to, [Public]),
                _ => assert_eq!(to, [Public, from]),
            }
        }
    }
}
