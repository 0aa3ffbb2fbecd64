//! How many descriptors there are and who may use them.
//!
//! Listeners are counted against a limit that leaves a reserve, so that sources, the API and block files still get
//! descriptors when listeners have used up the rest.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for sources, the API, logs and the runtime itself.
const RESERVE: u64 = 256;
/// Connections whose request head is still being read, at most.
const HEADS_MAX: u64 = 512;

/// Who may hold how many descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Listeners connected at once.
    pub listeners_max: usize,
    /// Connections whose request head is still being read.
    pub heads_max: usize,
}

impl Budget {
    /// Divides `limit` descriptors, with `blocks` of them for block files.
    pub fn divide(limit: u64, blocks: u64) -> Self {
        let heads = HEADS_MAX.min(limit / 8).max(8);
        let listeners = limit.saturating_sub(RESERVE + heads + blocks).max(limit / 4).max(1);
        Budget { listeners_max: listeners as usize, heads_max: heads as usize }
    }
}

/// Raises this process's limit of open descriptors as far as it may go and returns what it is now.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the limit as it was, which is then what is divided.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_left_alone() {
        let budget = Budget::divide(20_000, 128);
        assert_eq!(budget, Budget { listeners_max: 20_000 - 256 - 512 - 128, heads_max: 512 });
    }

    #[test]
    fn a_tiny_limit_still_serves_someone() {
        let budget = Budget::divide(256, 128);
        assert_eq!(budget, Budget { listeners_max: 64, heads_max: 32 });
    }
}
