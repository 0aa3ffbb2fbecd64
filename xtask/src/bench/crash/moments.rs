//! When the server is killed: the same moments for the same seed. Reads no clock.

use std::time::Duration;

/// One kill of so many, as one in 2^3, comes while the server is still starting.
const STARTING_BITS: u32 = 3;
/// Within this a server has opened its buffer, or nearly so.
const STARTING_MAX: Duration = Duration::from_millis(40);
/// Shortest and longest life of a server that was let start: from less than a chunk to several segments.
const LIFE: (f64, f64) = (0.05, 6.0);
/// Longest time between the last look at the buffer and the kill: more than a chunk takes.
const GAP_MAX: Duration = Duration::from_millis(700);

/// When to kill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// So long behind the start of its process.
    Starting(Duration),
    /// So long after it was found to be back, and then so long after a last look at what it has.
    Serving(Duration, Duration),
}

/// Moments without an end.
pub struct Moments {
    state: u64,
    is_first: bool,
}

impl Moments {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Moments { state: seed, is_first: true }
    }

    /// splitmix64 by Steele, Lea and Flood.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    fn fraction(&mut self) -> f64 {
        (self.random() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Iterator for Moments {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        // Nobody starts again before the first one.
        let is_starting = self.random() >> (64 - STARTING_BITS) == 0 && !self.is_first;
        self.is_first = false;
        Some(if is_starting {
            Moment::Starting(STARTING_MAX.mul_f64(self.fraction()))
        } else {
            // As many short lives as long ones.
            let life = LIFE.0 * (LIFE.1 / LIFE.0).powf(self.fraction());
            Moment::Serving(Duration::from_secs_f64(life), GAP_MAX.mul_f64(self.fraction()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_follow_from_the_seed() {
        let of = |seed| Moments::new(seed).take(100).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn lives_are_within_bounds_and_some_end_in_the_start() {
        let mut starting = 0;
        for (nth, moment) in Moments::new(7).take(1_000).enumerate() {
            match moment {
                Moment::Starting(after) => {
                    assert!(nth > 0 && after < STARTING_MAX);
                    starting += 1;
                }
                Moment::Serving(life, gap) => {
                    assert!((LIFE.0..LIFE.1).contains(&life.as_secs_f64()) && gap < GAP_MAX);
                }
            }
        }
        assert!((80..170).contains(&starting), "{starting}");
    }
}
