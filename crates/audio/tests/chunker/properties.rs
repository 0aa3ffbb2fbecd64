//! What holds for any sources, clocks and splits.

use audio::{Batch, Chunk, Time};
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
enum Event {
    Push(usize),
    Pass(u64),
    TickUnpolled(u64),
    StepWall(i64),
    Format(usize),
    Start,
    Finish,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (1_usize..60).prop_map(Event::Push),
        8 => (0_u64..300_000).prop_map(Event::Pass),
        1 => (0_u64..20_000_000).prop_map(Event::Pass),
        2 => (0_u64..3_000_000).prop_map(Event::TickUnpolled),
        1 => (-10_000_000_000_i64..10_000_000_000).prop_map(Event::StepWall),
        1 => (0_usize..3).prop_map(Event::Format),
        1 => Just(Event::Start),
        1 => Just(Event::Finish),
    ];
    prop::collection::vec(event, 1..120)
}

/// Plays the events; batches go through `split` first. The chunks, and the frames made.
fn play(
    events: &[Event],
    resume_after: Option<Time>,
    mut split: impl FnMut(Batch) -> Vec<Batch>,
) -> (Vec<Chunk>, u64) {
    let mut host = Host::resuming(mp3(44_100), 1_152, resume_after);
    for event in events {
        match *event {
            Event::Push(frames) => {
                for part in split(host.batch(frames)) {
                    host.chunker.push(&part, host.now, &mut host.out);
                }
            }
            Event::Pass(us) => host.pass(us),
            Event::TickUnpolled(us) => host.tick(us),
            Event::StepWall(us) => host.step_wall(us),
            Event::Format(0) => (host.format, host.frame_samples) = (mp3(44_100), 1_152),
            Event::Format(1) => host.format.bitrate_kbps ^= 64,
            Event::Format(_) => (host.format, host.frame_samples) = (aac(11_025), 1_024),
            Event::Start => host.start_source(),
            Event::Finish => host.finish(),
        }
    }
    host.finish();
    (host.out, host.made)
}

/// The batch in parts of at most `most` frames.
fn parts(batch: &Batch, most: usize) -> Vec<Batch> {
    let part = |frames: &[_], at: usize| Batch {
        format: batch.format,
        data: batch.data.slice(at * FRAME_BYTES..(at + frames.len()) * FRAME_BYTES),
        frames: frames.to_vec(),
    };
    batch.frames.chunks(most).enumerate().map(|(k, frames)| part(frames, k * most)).collect()
}

proptest! {
    #[test]
    fn chunks_never_overlap_and_no_frame_is_lost(
        events in events(),
        resume_us in prop::option::of(-20_000_000_i64..20_000_000),
    ) {
        let resume_after = resume_us.map(|us| START.plus_micros(us));
        let (chunks, made) = play(&events, resume_after, |batch| vec![batch]);
        check_row(&chunks, resume_after);
        prop_assert_eq!(frame_numbers(&chunks), (0..made).collect::<Vec<_>>());
        for chunk in &chunks {
            let media_us = i64::from(chunk.format.micros(u64::from(chunk.samples)) as u32);
            prop_assert!(media_us <= 500_000);
            prop_assert!((i64::from(chunk.span_us) - media_us).abs() <= media_us / 50 + 2, "{:?}", chunk);
        }
    }

    #[test]
    fn how_a_batch_is_split_makes_no_difference(events in events(), most in 1_usize..20) {
        let whole = play(&events, None, |batch| vec![batch]);
        let split = play(&events, None, |batch| parts(&batch, most));
        prop_assert_eq!(whole, split);
    }
}
