//! Says of a message that may come thousands of times a second whether it is time to log it again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds between two messages of one kind.
const PAUSE_S: u64 = 60;

/// Lets one message through a minute.
#[derive(Debug, Default)]
pub struct Seldom {
    last_s: AtomicU64,
}

impl Seldom {
    /// True at most once a minute, for one of all threads that ask.
    pub fn ready(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.ready_at(now)
    }

    fn ready_at(&self, now_s: u64) -> bool {
        let last = self.last_s.load(Ordering::Relaxed);
        let due = last == 0 || now_s < last || now_s - last >= PAUSE_S;
        due && self.last_s.compare_exchange(last, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_a_minute_passes() {
        let seldom = Seldom::default();
        let passed: Vec<u64> = (1_000..1_200).filter(|&second| seldom.ready_at(second)).collect();
        assert_eq!(passed, [1_000, 1_060, 1_120, 1_180]);
    }
}
