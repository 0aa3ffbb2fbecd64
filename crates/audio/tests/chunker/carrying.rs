//! A chunker goes on in another process where it stopped in the first: carried over as plain data after any step, it cuts
//! and dates as if nothing had been.

use crate::support::{Host, MS, Random, aac, mp3};

/// Any step of a source and of the clocks.
fn step(host: &mut Host, random: &mut Random) {
    match random.below(12) {
        0 => host.start_source(),
        1 => host.finish(),
        2 => host.step_wall(random.below(5_000) as i64 * MS as i64 - 2_500 * MS as i64),
        3 => host.pass(random.below(4_000) * MS),
        4 => host.push(random.below(100) as usize),
        5 => (host.format, host.frame_samples) = (aac(48_000), 1_024),
        6 => (host.format, host.frame_samples) = (mp3(44_100), 1_152),
        _ => host.play(random.below(60)),
    }
}

#[test]
fn a_chunker_carried_over_after_any_step_goes_on_as_if_nothing_had_been() {
    for seed in 1..200 {
        let (mut staying, mut carried) = (Host::mp3(), Host::mp3());
        let mut random = [Random(seed), Random(seed)];
        for _ in 0..40 {
            step(&mut staying, &mut random[0]);
            step(&mut carried, &mut random[1]);
            let state = serde_json::to_string(&carried.chunker).unwrap();
            carried.chunker = serde_json::from_str(&state).unwrap();
            assert_eq!(carried.chunker.deadline(), staying.chunker.deadline(), "seed {seed}");
            assert_eq!(carried.out, staying.out, "seed {seed}");
        }
    }
}
