//! The slots of a tick, which are counted on the clock: slot number n is slot n modulo so many.

/// Slots in a tick. Fewer make larger, cheaper batches; more spread the load of the network over the tick.
pub const SLOTS: usize = 4;

/// True if `slot` has come since slot number `since`, or was about to, when slot number `now` has.
pub fn has_come(slot: usize, since: u64, now: u64) -> bool {
    let slots = SLOTS as u64;
    since + (slot as u64 + slots - since % slots) % slots <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_missed_if_it_comes_between_two_moments() {
        let slots = SLOTS as u64;
        // Slot 1 is number 1, 1 + slots, …
        for (since, now, missed) in [
            (0, 0, false),
            (0, 1, true),
            (1, 1, true),
            (2, 2, false),
            (2, slots, false),
            (2, slots + 1, true),
            (slots + 2, 2 * slots, false),
            (0, 100 * slots, true),
        ] {
            assert_eq!(has_come(1, since, now), missed, "{since}..={now}");
        }
    }
}
