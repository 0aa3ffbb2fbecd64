//! Slows down guessing: after some wrong passwords from one address, its answers come later and later.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use audio::Mono;
use parking_lot::Mutex;

/// Wrong passwords that cost nothing: typing errors, and libshout's first try, which it makes without any.
const FREE: u32 = 10;
/// Each further one delays the answer by this much more …
const STEP: Duration = Duration::from_millis(500);
/// … up to this.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// An address is forgiven after so long without a wrong password.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// Addresses remembered; beyond that the longest forgiven ones are forgotten first.
const ADDRESSES_MAX: usize = 4096;

/// Wrong passwords by address.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Mono,
}

impl Throttle {
    /// Notes a wrong password from `ip` and tells how long its answer should wait.
    pub fn failed(&self, ip: IpAddr, now: Mono) -> Duration {
        let mut all = self.failures.lock();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&ip) {
            forget(&mut all, now);
        }
        let entry = all.entry(ip).or_insert(Failures { count: 0, last: now });
        if now.since(entry.last) > FORGIVEN_AFTER {
            entry.count = 0;
        }
        *entry = Failures { count: entry.count.saturating_add(1), last: now };
        STEP.saturating_mul(entry.count.saturating_sub(FREE)).min(DELAY_MAX)
    }

    /// A right password clears the address.
    pub fn succeeded(&self, ip: IpAddr) {
        self.failures.lock().remove(&ip);
    }
}

fn forget(all: &mut HashMap<IpAddr, Failures>, now: Mono) {
    all.retain(|_, failures| now.since(failures.last) <= FORGIVEN_AFTER);
    if all.len() >= ADDRESSES_MAX
        && let Some(oldest) = all.iter().min_by_key(|(_, failures)| failures.last).map(|(ip, _)| *ip)
    {
        all.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn guessing_gets_slower_up_to_a_limit() {
        let throttle = Throttle::default();
        let delays: Vec<u64> = (0..30).map(|n| throttle.failed(IP, Mono(n)).as_millis() as u64).collect();
        assert!(delays[..10].iter().all(|&ms| ms == 0));
        assert_eq!(delays[10..13], [500, 1000, 1500]);
        assert_eq!(delays[29], 5000);
    }

    #[test]
    fn a_right_password_or_time_forgives() {
        let throttle = Throttle::default();
        for n in 0..20 {
            throttle.failed(IP, Mono(n));
        }
        assert!(!throttle.failed(IP, Mono(21)).is_zero());
        assert!(throttle.failed(IP, Mono(21).plus(FORGIVEN_AFTER * 2)).is_zero());
        for n in 0..20 {
            throttle.failed(IP, Mono(n));
        }
        throttle.succeeded(IP);
        assert!(throttle.failed(IP, Mono(22)).is_zero());
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..ADDRESSES_MAX as u32 + 100 {
            throttle.failed(IpAddr::V4(n.into()), Mono(u64::from(n)));
        }
        assert_eq!(throttle.failures.lock().len(), ADDRESSES_MAX);
    }
}
