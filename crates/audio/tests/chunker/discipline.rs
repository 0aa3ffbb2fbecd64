//! The running time line against the wall clock: drift, jitter, steps, missing audio.

use audio::Chunk;

use crate::support::*;

/// 8 kHz ADTS frames of four raw blocks: 512 ms, a chunk each; months of them are quickly counted.
fn long_frames() -> Host {
    Host::new(aac(8_000), 4_096)
}

/// Plays frames whose source runs `ppm` fast; the network delays each by what `delay_us` tells, in order. `check` sees
/// every chunk, with the number of frames so far.
fn play_drifting(
    host: &mut Host,
    frames: u64,
    ppm: i64,
    mut delay_us: impl FnMut() -> u64,
    mut check: impl FnMut(u64, &Host, &Chunk),
) {
    let begun = host.now.mono.0;
    for k in 1..=frames {
        let sent = begun + sent_after_us(host, k, ppm);
        host.pass((sent + delay_us()).saturating_sub(host.now.mono.0));
        host.push(1);
        for chunk in std::mem::take(&mut host.out) {
            check(k, host, &chunk);
        }
    }
}

/// When the source, running `ppm` fast, has sent so many frames.
fn sent_after_us(host: &Host, frames: u64, ppm: i64) -> u64 {
    let media_us = host.media_us(frames) as i64;
    (media_us - media_us * ppm / (1_000_000 + ppm)) as u64
}

/// Checks a row of chunks that is not kept.
#[derive(Default)]
struct Row(Option<Chunk>);

impl Row {
    fn add(&mut self, chunk: &Chunk) {
        if let Some(before) = self.0.replace(chunk.clone()) {
            assert_eq!(end_of(&before), chunk.time, "neighbours join");
            assert!(!chunk.discontinuity);
        }
    }
}

#[test]
fn a_month_with_a_drifting_encoder_stays_with_the_wall_clock() {
    let month = 30 * 24 * HOUR / 512_000;
    for ppm in [-10_000, -100, 100, 10_000] {
        let (mut host, mut row, mut worst) = (long_frames(), Row::default(), 0);
        host.start_source();
        play_drifting(
            &mut host,
            month,
            ppm,
            || 0,
            |k, host, chunk| {
                row.add(chunk);
                if k * 512_000 > 2 * HOUR {
                    worst = worst.max(lead_us(chunk, host.now).abs());
                }
            },
        );
        assert!((1..=50_000).contains(&worst), "{ppm} ppm: {worst} us off");
    }
}

#[test]
fn a_drift_of_one_percent_never_grows_to_a_gap() {
    for ppm in [-10_000, 10_000] {
        let (mut host, mut row, mut worst) = (Host::mp3(), Row::default(), 0);
        host.start_source();
        play_drifting(
            &mut host,
            3 * HOUR / 26_122,
            ppm,
            || 0,
            |_, host, chunk| {
                row.add(chunk);
                worst = worst.max(lead_us(chunk, host.now).abs());
            },
        );
        assert!((1_000_000..1_800_000).contains(&worst), "{ppm} ppm: {worst} us");
    }
}

/// Six hours through a network: the least and the most that chunks lead the moment their audio was sent, after the
/// first hour.
fn leads_through(delay_us: impl FnMut() -> u64) -> (i64, i64) {
    let (mut host, mut row) = (Host::mp3(), Row::default());
    let (mut low, mut high) = (i64::MAX, i64::MIN);
    host.start_source();
    play_drifting(&mut host, 6 * HOUR / 26_122, 50, delay_us, |k, host, chunk| {
        row.add(chunk);
        if k > HOUR / 26_122 {
            let lead_us = end_of(chunk).micros_since(START) - sent_after_us(host, k, 50) as i64;
            (low, high) = (low.min(lead_us), high.max(lead_us));
        }
    });
    (low, high)
}

#[test]
fn a_network_that_holds_audio_back_now_and_then_does_not_move_the_time_line() {
    // About once a second, everything waits for up to 800 ms.
    let mut random = Random(0x5eed);
    let (low, high) = leads_through(|| if random.below(38) == 0 { random.below(800 * MS) } else { 0 });
    assert!(low >= -30_000 && high <= 30_000, "leads of {low} to {high} us");
}

#[test]
fn a_network_that_delays_every_frame_moves_the_time_line_by_its_least_delay_and_hardly_shakes_it() {
    let mut random = Random(0x5eed);
    let (low, high) = leads_through(|| random.below(800 * MS));
    assert!(low > 0 && high < 500_000, "leads of {low} to {high} us");
    assert!(high - low <= 60_000, "wobbles between {low} and {high} us");
}

/// Plays ten seconds, sets the wall clock, plays on; the chunks after the step.
fn step(by_us: i64, frames_after: u64) -> (Host, usize) {
    let mut host = Host::round();
    host.start_source();
    host.play(80);
    host.pass(0);
    let before = host.out.len();
    host.step_wall(by_us);
    host.play(frames_after);
    host.finish();
    check_row(&host.out, None);
    (host, before)
}

#[test]
fn a_step_within_the_bound_is_slewed_and_one_beyond_is_a_discontinuity() {
    for (by_us, breaks) in [(1_500_000, 0), (2_000_000, 0), (2_000_001, 1), (-2_000_001, 0)] {
        let (host, before) = step(by_us, 20_000);
        let found = host.out[before..].iter().filter(|chunk| chunk.discontinuity).count();
        assert_eq!(found, breaks, "step of {by_us} us");
        let lead = lead_us(host.out.last().expect("a chunk"), host.now);
        assert!(lead.abs() <= 50_000, "step of {by_us} us: {lead} us off after 43 minutes");
    }
}

#[test]
fn the_way_back_from_a_large_lead_overshoots_by_little() {
    let mut host = Host::round();
    host.start_source();
    host.play(80);
    host.step_wall(-30_000_000);
    let mut lowest = i64::MAX;
    for _ in 0..2 * HOUR / 128_000 {
        host.play(1);
        lowest = host.out.drain(..).map(|chunk| lead_us(&chunk, host.now)).fold(lowest, i64::min);
    }
    assert!((-300_000..-20_000).contains(&lowest), "{lowest} us");
}

#[test]
fn a_clock_set_forward_re_dates_the_audio_once() {
    for by_us in [3_600_000_000, 10 * 365 * 24 * HOUR as i64] {
        let (host, before) = step(by_us, 80);
        let breaks: Vec<_> = host.out[before..].iter().filter(|chunk| chunk.discontinuity).collect();
        assert_eq!(breaks.len(), 1);
        let position = host.out.iter().position(|chunk| chunk == breaks[0]).expect("it is one of them");
        assert_eq!(breaks[0].time, end_of(&host.out[position - 1]).plus_micros(by_us));
        assert_eq!(host.end(), host.now.wall);
    }
}

#[test]
fn a_clock_set_back_is_followed_by_slewing_alone() {
    for by_us in [-3_600_000_000, -10 * 365 * 24 * HOUR as i64] {
        let (host, before) = step(by_us, 800);
        assert!(host.out[before..].iter().all(|chunk| !chunk.discontinuity));
        // The chunk under way keeps its slewing; those after it shrink by 2 %.
        for chunk in &host.out[before + 1..] {
            let media_us = chunk.format.micros(u64::from(chunk.samples));
            let slewed_us = i64::from(chunk.span_us) - (media_us * 98 / 100) as i64;
            assert!((0..=1).contains(&slewed_us), "{chunk:?}");
        }
        assert!(host.chunker.ahead(host.now).as_millis() < 500, "it is not the source that runs ahead");
    }
}

#[test]
fn a_clock_that_is_set_back_and_forth_returns_without_a_mark() {
    let mut host = Host::round();
    host.start_source();
    for by_us in [0, -3_600_000_000, 3_600_000_000, 0] {
        host.step_wall(by_us);
        host.play(80);
    }
    host.finish();
    check_row(&host.out, None);
    assert_eq!(host.out.iter().filter(|chunk| chunk.discontinuity).count(), 1, "the first");
}

#[test]
fn audio_that_goes_missing_in_small_gaps_becomes_one_gap() {
    let mut host = Host::round();
    host.start_source();
    host.play(80);
    // Twice 1.5 s are lost: no stall, but more than the bound in all.
    for _ in 0..2 {
        host.pass(1_500 * MS);
        host.play(10);
    }
    host.play(200);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(host.out.iter().filter(|chunk| chunk.discontinuity).count(), 2, "the first, and the gap");
    let lead = lead_us(host.out.last().expect("a chunk"), host.now);
    assert!(lead.abs() < 50_000, "{lead} us off");
}

#[test]
fn a_source_faster_than_real_time_gets_a_time_line_without_gaps() {
    let mut host = Host::round();
    host.start_source();
    // Three times real time, for a minute.
    for _ in 0..469 {
        host.push(3);
        host.pass(128 * MS);
    }
    let ahead = host.chunker.ahead(host.now);
    host.finish();
    check_row(&host.out, None);
    assert_eq!(host.out.iter().filter(|chunk| chunk.discontinuity).count(), 1);
    // All but the first five seconds, which are gathered, run ahead: twice 55 s, less 2 % of the audio.
    let lead = lead_us(host.out.last().expect("a chunk"), host.now) / 1_000;
    assert!((106_000..110_100).contains(&lead), "{lead} ms");
    assert!((ahead.as_millis() as i64 - lead).abs() < 200, "{ahead:?}");
}
