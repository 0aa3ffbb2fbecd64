//! Waiting for what another process or thread does: polling with a deadline, never a fixed sleep.

use std::time::{Duration, Instant};

/// Longest wait for anything that should happen at once, on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two polls.
const PAUSE: Duration = Duration::from_millis(5);

/// Polls until `find` gives a value; panics when it has none after `deadline`.
#[track_caller]
pub fn eventually<T>(deadline: Duration, find: impl FnMut() -> Option<T>) -> T {
    poll(deadline, find).unwrap_or_else(|| panic!("did not happen within {deadline:?}"))
}

/// Polls until `find` gives a value; `None` when it has none after `deadline`.
pub fn poll<T>(deadline: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let last = Instant::now() >= end;
        if let Some(value) = find() {
            return Some(value);
        }
        if last {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_is_returned() {
        let mut polls = 0;
        let value = eventually(DEADLINE, || {
            polls += 1;
            (polls == 3).then_some("found")
        });
        assert_eq!((value, polls), ("found", 3));
    }

    #[test]
    fn a_deadline_of_zero_still_polls_once() {
        assert_eq!(poll(Duration::ZERO, || Some(1)), Some(1));
        assert_eq!(poll(Duration::ZERO, || None::<u8>), None);
    }

    #[test]
    #[should_panic(expected = "did not happen within 0ns")]
    fn nothing_found_panics() {
        eventually(Duration::ZERO, || None::<()>);
    }
}
