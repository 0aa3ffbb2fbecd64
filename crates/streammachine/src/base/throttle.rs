//! Slows down guessing: after some wrong passwords from one address, its answers come later and later.
//!
//! All wrong passwords of an address count together; a right one takes back only those of its own account. Else whoever
//! has one password could guess at the others undisturbed.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use audio::Mono;
use parking_lot::Mutex;

use crate::base::net::network;

/// Wrong passwords that cost nothing: typing errors, and libshout's first try, which it makes without any.
const FREE: u32 = 10;
/// Each further one delays the answer by this much more …
const STEP: Duration = Duration::from_millis(500);
/// … up to this.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// Whoever is refused unlooked at may try again after so many seconds: the answers that wait now are given then.
pub const RETRY_AFTER_S: u64 = DELAY_MAX.as_secs();
/// An address is forgiven after so long without a wrong password.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// Wrong passwords from one address whose answers may wait at once; more are not even looked at.
const WAITING_MAX: u32 = 8;
/// Addresses remembered; beyond that the longest forgiven ones are forgotten first.
const ADDRESSES_MAX: usize = 4096;

/// Accounts of one address whose wrong passwords a right one takes back; those of others are forgiven with time only.
const ACCOUNTS_MAX: usize = 16;

/// Whose password is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account<'a> {
    /// A user of the server.
    User(&'a str),
    /// Whoever has the own password of the mount with this path.
    Mount(&'a str),
    /// It cannot be told: one password may be tried for a mount, its DJs and the server's users at once.
    Unknown,
}

/// Wrong passwords by address.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Accounts are kept as hashes: names may be long, and a guesser makes them up.
    hasher: RandomState,
    failures: Mutex<HashMap<IpAddr, Failures>>,
    waiting: Mutex<HashMap<IpAddr, u32>>,
}

/// An answer that waits.
struct Waiting<'a>(&'a Throttle, IpAddr);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        if let Some(count) = waiting.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.1);
            }
        }
    }
}

#[derive(Debug)]
struct Failures {
    /// All of the address.
    count: u32,
    last: Mono,
    /// Those of which a right password takes back its own.
    accounts: Vec<(u64, u32)>,
}

impl Failures {
    fn new(last: Mono) -> Self {
        Failures { count: 0, last, accounts: Vec::new() }
    }

    fn add(&mut self, account: Option<u64>) {
        self.count = self.count.saturating_add(1);
        let Some(account) = account else { return };
        if let Some((_, count)) = self.accounts.iter_mut().find(|(known, _)| *known == account) {
            *count = count.saturating_add(1);
        } else if self.accounts.len() < ACCOUNTS_MAX {
            self.accounts.push((account, 1));
        }
    }

    fn take_back(&mut self, account: u64) {
        if let Some(index) = self.accounts.iter().position(|(known, _)| *known == account) {
            self.count -= self.accounts.swap_remove(index).1;
        }
    }
}

impl Throttle {
    /// Notes a wrong password for `account` from `ip`, and waits before it is answered: the longer, the more there were.
    pub async fn punish(&self, ip: IpAddr, account: Account<'_>, now: Mono) {
        let delay = self.failed(ip, account, now);
        if !delay.is_zero() {
            let _waiting = self.enter(ip);
            tokio::time::sleep(delay).await;
        }
    }

    fn enter(&self, ip: IpAddr) -> Waiting<'_> {
        *self.waiting.lock().entry(network(ip)).or_default() += 1;
        Waiting(self, network(ip))
    }

    /// True if so many answers to `ip` wait that no further password is looked at.
    pub fn is_crowded(&self, ip: IpAddr) -> bool {
        self.waiting.lock().get(&network(ip)).is_some_and(|&count| count >= WAITING_MAX)
    }

    fn failed(&self, ip: IpAddr, account: Account<'_>, now: Mono) -> Duration {
        let ip = network(ip);
        let mut all = self.failures.lock();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&ip) {
            forget(&mut all, now);
        }
        let entry = all.entry(ip).or_insert(Failures::new(now));
        if now.since(entry.last) > FORGIVEN_AFTER {
            *entry = Failures::new(now);
        }
        entry.last = now;
        entry.add(self.key(account));
        STEP.saturating_mul(entry.count.saturating_sub(FREE)).min(DELAY_MAX)
    }

    /// A right password takes back the wrong ones for the same account from the same address.
    pub fn succeeded(&self, ip: IpAddr, account: Account<'_>) {
        let Some(key) = self.key(account) else { return };
        let mut all = self.failures.lock();
        if let Some(failures) = all.get_mut(&network(ip)) {
            failures.take_back(key);
            if failures.count == 0 {
                all.remove(&network(ip));
            }
        }
    }

    fn key(&self, account: Account<'_>) -> Option<u64> {
        (account != Account::Unknown).then(|| self.hasher.hash_one(account))
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

    const ANNA: Account<'_> = Account::User("anna");
    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn guessing_gets_slower_up_to_a_limit() {
        let throttle = Throttle::default();
        let delays: Vec<u64> =
            (0..30).map(|n| throttle.failed(IP, ANNA, Mono(n)).as_millis() as u64).collect();
        assert!(delays[..10].iter().all(|&ms| ms == 0));
        assert_eq!(delays[10..13], [500, 1000, 1500]);
        assert_eq!(delays[29], 5000);
    }

    #[test]
    fn a_right_password_or_time_forgives() {
        let throttle = Throttle::default();
        for n in 0..20 {
            throttle.failed(IP, ANNA, Mono(n));
        }
        assert!(!throttle.failed(IP, ANNA, Mono(21)).is_zero());
        assert!(throttle.failed(IP, ANNA, Mono(21).plus(FORGIVEN_AFTER * 2)).is_zero());
        for n in 0..20 {
            throttle.failed(IP, ANNA, Mono(n));
        }
        throttle.succeeded(IP, ANNA);
        assert!(throttle.failures.lock().is_empty());
        assert!(throttle.failed(IP, ANNA, Mono(22)).is_zero());
    }

    #[test]
    fn a_right_password_forgives_no_guesses_at_others() {
        let throttle = Throttle::default();
        for n in 0..20 {
            throttle.failed(IP, Account::User("ben"), Mono(n));
            for other in [ANNA, Account::Mount("ben"), Account::Unknown] {
                throttle.succeeded(IP, other);
            }
        }
        assert_eq!(throttle.failed(IP, ANNA, Mono(20)), DELAY_MAX);
        throttle.succeeded(IP, Account::User("ben"));
        assert!(throttle.failed(IP, ANNA, Mono(21)).is_zero());
    }

    #[test]
    fn the_number_of_accounts_is_bounded() {
        let throttle = Throttle::default();
        let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        for name in &names {
            throttle.failed(IP, Account::User(name), Mono(1));
        }
        assert_eq!(throttle.failures.lock()[&IP].accounts.len(), ACCOUNTS_MAX);
        names.iter().for_each(|name| throttle.succeeded(IP, Account::User(name)));
        assert_eq!(throttle.failures.lock()[&IP].count, 100 - ACCOUNTS_MAX as u32);
    }

    #[test]
    fn few_answers_to_one_network_wait_at_once() {
        let throttle = Throttle::default();
        let [one, other, next] =
            ["2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let waiting: Vec<_> = (1..WAITING_MAX).map(|_| throttle.enter(one)).collect();
        assert!(!throttle.is_crowded(one));
        let last = throttle.enter(other);
        assert!(throttle.is_crowded(one) && throttle.is_crowded(other) && !throttle.is_crowded(next));
        drop(last);
        assert!(!throttle.is_crowded(one));
        drop(waiting);
        assert!(throttle.waiting.lock().is_empty());
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..ADDRESSES_MAX as u32 + 100 {
            throttle.failed(IpAddr::V4(n.into()), ANNA, Mono(u64::from(n)));
        }
        assert_eq!(throttle.failures.lock().len(), ADDRESSES_MAX);
    }
}
