//! Stations and listeners who do anything, in any order; what they hear is compared with arithmetic on frame numbers.

use std::num::NonZeroU32;

use audio::Time;
use proptest::{prelude::*, sample::Index};
use rewind::{Feed, Pacing, Request, Start, Turn};
use testkit::icy::Reader;
use wire::icy::Metadata;

use super::station::*;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many microseconds go by.
    Pass(i64),
    /// The source goes, or comes back.
    Switch,
    /// Another title.
    Title(u8),
    /// The listener takes no more than this of no more than that.
    Take {
        audio_max: usize,
        bytes_max: usize,
    },
    /// The listener takes all that is due.
    Listen,
    /// Another process goes on with the feed.
    HandOff,
    /// So many seconds are kept from now on.
    Keep(u64),
    Clear,
}

/// A step that loses nothing.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5 * SECOND_US).prop_map(Step::Pass),
        1 => (1..60 * SECOND_US).prop_map(Step::Pass),
        2 => Just(Step::Switch),
        1 => any::<u8>().prop_map(Step::Title),
        2 => (1_usize..50_000, 0_usize..50_000)
            .prop_map(|(audio_max, bytes_max)| Step::Take { audio_max, bytes_max }),
        4 => Just(Step::Listen),
    ]
}

/// A step of a station that keeps its audio.
fn keeping_step() -> impl Strategy<Value = Step> {
    prop_oneof![12 => step(), 1 => Just(Step::HandOff)]
}

/// A step of one that does not. No hand-off is among them: of a frame that was sent in part, the next process has the
/// rest only if its log still has the block.
fn losing_step() -> impl Strategy<Value = Step> {
    prop_oneof![12 => step(), 1 => (0_u64..60).prop_map(Step::Keep), 1 => Just(Step::Clear)]
}

/// Where a listener starts, once there is some audio.
#[derive(Clone, Debug)]
enum Place {
    Live,
    Behind(u64),
    At(Index),
    Delay(u64),
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Live),
        (0_u64..150).prop_map(Place::Behind),
        any::<Index>().prop_map(Place::At),
        (0_u64..150).prop_map(Place::Delay),
    ]
}

/// What is due to a listener with a delay. It goes on as time does, and to a gap's other side only as far as its
/// distance to the live edge allows.
struct Delayed {
    distance_us: i64,
    /// Audio up to here is due in any case.
    least: Time,
    /// And this is the most, if there were gaps whenever there was room for one.
    most: Time,
}

struct Simulation {
    station: Station,
    now: Time,
    is_on_air: bool,
    listener: Listener,
    reader: Option<Reader>,
    heard: Vec<u8>,
    opened: Time,
    /// Number of the frame that the listener started with.
    first: u32,
    burst_us: i64,
    delay: Option<Delayed>,
}

impl Simulation {
    /// A station with half a minute of sound at least, and somebody who starts to listen after `before`.
    fn new(before: &[Step], place: &Place, burst_seconds: u64, metaint: Option<NonZeroU32>) -> Self {
        let now = after(START, 30);
        let mut station = Station::keeping(128, seconds(3_600));
        station.run_until(now);
        let listener = station.open(&request(Start::Live), now);
        let mut simulation = Simulation {
            station,
            now,
            is_on_air: true,
            listener,
            reader: None,
            heard: Vec::new(),
            opened: now,
            first: 0,
            burst_us: burst_seconds as i64 * SECOND_US,
            delay: None,
        };
        before.iter().for_each(|step| simulation.step(*step));
        simulation.open(place, metaint);
        simulation
    }

    fn open(&mut self, place: &Place, metaint: Option<NonZeroU32>) {
        let start = match place {
            Place::Live => Start::Live,
            Place::Behind(distance) => Start::Behind(seconds(*distance)),
            Place::At(index) => {
                Start::At(self.station.time_of(index.index(self.station.next as usize + 1) as u32))
            }
            Place::Delay(distance) => Start::Delay(seconds(*distance)),
        };
        let burst = seconds((self.burst_us / SECOND_US) as u64);
        self.listener = self.station.open(&Request { burst, metaint, ..request(start) }, self.now);
        self.reader = metaint.map(|metaint| Reader::new(metaint.get() as usize));
        self.heard.clear();
        self.opened = self.now;
        let position = self.listener.feed.position();
        self.first = (0..=self.station.next)
            .find(|number| self.station.position_of(*number) == position)
            .expect("a frame starts there");
        if let Place::Delay(distance) = place
            && self.listener.feed.state().pacing != Pacing::Live
        {
            let horizon = self.station.time_of(self.first).plus_micros(self.burst_us);
            let distance_us = (*distance as i64 * SECOND_US - self.burst_us).max(0);
            self.delay = Some(Delayed { distance_us, least: horizon, most: horizon });
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(us) => {
                self.now = self.now.plus_micros(us);
                if self.is_on_air {
                    self.station.run_until(self.now);
                }
                if let Some(delay) = &mut self.delay {
                    delay.least = delay.least.plus_micros(us);
                    let kept = self.station.edge().plus_micros(-delay.distance_us);
                    delay.most = delay.most.plus_micros(us).max(kept);
                }
            }
            Step::Switch => {
                self.is_on_air = !self.is_on_air;
                let silence_us = self.now.micros_since(self.station.time_of(self.station.next));
                if self.is_on_air && silence_us > 0 {
                    self.station.pause(silence_us);
                }
            }
            Step::Title(number) => {
                let metadata = Metadata { title: format!("Title {number}"), url: String::new() };
                self.station.writer.set_metadata(metadata, self.now);
            }
            Step::Take { audio_max, bytes_max } => {
                self.listener.take(self.now, audio_max, bytes_max);
            }
            Step::Listen => assert_eq!(self.listener.listen(self.now), Turn::Wait),
            Step::HandOff => {
                self.listener.feed = Feed::resume(&self.station.log, self.listener.feed.state());
            }
            Step::Keep(count) => self.station.writer.set_keep(seconds(count), u64::MAX),
            Step::Clear => self.station.writer.clear(),
        }
        let received = self.listener.received();
        match &mut self.reader {
            None => self.heard.extend(received),
            Some(reader) => {
                reader.push(&received);
                self.heard.append(&mut reader.audio);
            }
        }
    }

    /// The number behind the last frame that is due, where nothing was lost and gaps cost no time: whole chunks, as much
    /// sound as the burst and the time that went by.
    fn due(&self) -> u32 {
        let budget_us = self.burst_us + self.now.micros_since(self.opened);
        let media = |number| self.station.media_us(number) - self.station.media_us(self.first);
        let ends = (0..=self.station.next).step_by(CHUNK_FRAMES as usize);
        ends.take_while(|end| media(*end) <= budget_us).last().map_or(self.first, |end| end.max(self.first))
    }

    /// Bytes of audio that the feed says are due.
    fn due_bytes(&self) -> usize {
        let feed = &self.listener.feed;
        feed.due_bytes(self.now) as usize - feed.state().front.len()
    }

    /// What a listener has heard who has just taken all there was, of a station that keeps everything.
    fn check_heard(&self) {
        let end = (0..=self.station.next)
            .find(|number| self.station.position_of(*number) == self.listener.feed.position())
            .expect("a frame starts there");
        self.station.assert_heard(&self.heard, self.first..end);
        assert_eq!(self.listener.feed.jumps(), 0);
        match &self.delay {
            // A live listener has each chunk as soon as it is there, which may be one more than was due when it opened.
            None if self.listener.feed.state().pacing == Pacing::Live => {
                assert!(end == self.station.next && end <= self.due() + CHUNK_FRAMES, "{end}");
            }
            None => assert_eq!(end, self.due()),
            Some(delay) => {
                let due = |until| self.station.ended_by(until).clamp(self.first, self.due());
                assert!((due(delay.least)..=due(delay.most)).contains(&end), "{end}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_that_is_due_is_heard_and_nothing_else(
        before in proptest::collection::vec(keeping_step(), 0..15),
        place in place(),
        burst_seconds in 0_u64..40,
        metaint in proptest::option::of(1_u32..20_000),
        steps in proptest::collection::vec(keeping_step(), 1..40),
    ) {
        let mut simulation =
            Simulation::new(&before, &place, burst_seconds, metaint.and_then(NonZeroU32::new));
        for step in steps.into_iter().chain([Step::Listen]) {
            let (due_bytes, heard_bytes) = (simulation.due_bytes(), simulation.heard.len());
            simulation.step(step);
            if matches!(step, Step::Listen) {
                prop_assert_eq!(simulation.heard.len() - heard_bytes, due_bytes);
                simulation.check_heard();
            }
        }
    }

    #[test]
    fn whatever_is_lost_frames_are_whole_in_order_and_go_on_to_the_edge(
        before in proptest::collection::vec(losing_step(), 0..15),
        place in place(),
        burst_seconds in 0_u64..40,
        metaint in proptest::option::of(1_u32..20_000),
        steps in proptest::collection::vec(losing_step(), 1..60),
    ) {
        let mut simulation =
            Simulation::new(&before, &place, burst_seconds, metaint.and_then(NonZeroU32::new));
        steps.into_iter().for_each(|step| simulation.step(step));
        simulation.is_on_air = false;
        [Step::Pass(600 * SECOND_US), Step::Listen].into_iter().for_each(|step| simulation.step(step));
        let (station, feed) = (&simulation.station, &simulation.listener.feed);
        let report = station.frames.scan(&simulation.heard);
        prop_assert!(report.is_whole() && report.repeated_frames() == 0, "{:?}", report);
        prop_assert!(report.breaks.len() <= feed.jumps() as usize, "{} jumps, {:?}", feed.jumps(), report);
        if simulation.station.log.span().is_some() {
            prop_assert_eq!(feed.position(), station.log.edge().position);
        }
    }
}
