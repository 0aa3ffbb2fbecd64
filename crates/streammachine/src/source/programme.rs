//! The built-in programme: music, and every 15 seconds a chime and a voice that says the time.
//!
//! A pure schedule: an instant in, frames out. What plays when depends on nothing but the instant and the time zone,
//! so the programme goes on right after a restart, and a listener who rewinds hears how far back that is. The pace at
//! which frames are asked for is the source's; the clips are made by `scripts/make-programme.sh`.

use std::sync::Arc;

use audio::{Codec, Format, Time, frames_in};
use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// Format of all that the programme plays.
pub const FORMAT: Format =
    Format { codec: Codec::Mp3, profile: 3, sample_rate_hz: 44_100, channels: 2, bitrate_kbps: 64 };

const SAMPLES_PER_FRAME: i64 = 1_152;
/// Half a frame, rounded down: a frame belongs to the instant that its start is nearest to.
const HALF_FRAME_US: i64 = 13_061;
/// The time is said at every multiple of this, in Unix time.
const SLOT_US: i64 = 15_000_000;
/// Most frames given at once: 418 ms.
const RUN_FRAMES_MAX: usize = 16;

/// The programme: what it plays and how far it has got.
#[derive(Debug)]
pub struct Programme {
    zone: TimeZone,
    clips: Clips,
    slot: Option<Slot>,
}

/// The frame to give next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The stretch between two announcements, in units of [`SLOT_US`].
    slot: i64,
    /// Counted from its begin.
    frame: usize,
}

impl Programme {
    /// The programme of a station in `zone`, at a frame of it, or wherever it is first asked for.
    pub fn resume(zone: TimeZone, place: Option<Place>) -> Self {
        let mut programme = Programme { zone, clips: Clips::load(), slot: None };
        programme.slot = place.map(|Place { slot: number, frame }| Slot {
            number,
            script: programme.script(number),
            frame,
        });
        programme
    }

    /// The frame that comes next; none before the first.
    pub fn place(&self) -> Option<Place> {
        self.slot.as_ref().map(|slot| Place { slot: slot.number, frame: slot.frame })
    }

    /// The next whole frames, to be heard from `at` on, and their samples: 1 to 16 frames of one clip.
    ///
    /// Each announcement begins with the frame whose start is nearest to its instant. Calls that follow each other
    /// in media time get each frame once; any other `at` finds its place anew.
    pub fn next_frames(&mut self, at: Time) -> (Bytes, u32) {
        let (number, offset_us) = place_in_time(at);
        let frame = nearest_frame(offset_us);
        let mut slot = match self.slot.take() {
            Some(slot) if slot.number == number && slot.frame.abs_diff(frame) <= 1 => slot,
            _ => Slot { number, script: self.script(number), frame },
        };
        let (clip, first) = slot.next_in_clip(&self.clips.silence);
        let left = nearest_frame(SLOT_US - offset_us);
        let count = left.clamp(1, RUN_FRAMES_MAX).min(clip.frames() - first);
        let run = clip.slice(first, count);
        slot.frame += count;
        self.slot = Some(slot);
        (run, count as u32 * SAMPLES_PER_FRAME as u32)
    }

    /// The clips of a slot in order; silence fills what they leave.
    fn script(&self, number: i64) -> Vec<Clip> {
        let mut script = vec![self.clips.chime.clone()];
        script.extend(words(&self.local(number)).into_iter().map(|word| self.clips.word(word).clone()));
        let phrase = number.rem_euclid(self.clips.music.len() as i64) as usize;
        script.push(self.clips.music[phrase].clone());
        script
    }

    /// When a slot begins, in the station's zone; the end of what a calendar can say for instants beyond it.
    fn local(&self, number: i64) -> Zoned {
        let begin_us = number.saturating_mul(SLOT_US);
        let begin = Timestamp::from_microsecond(begin_us);
        begin
            .unwrap_or(if begin_us < 0 { Timestamp::MIN } else { Timestamp::MAX })
            .to_zoned(self.zone.clone())
    }
}

/// The slot that a frame starting at `at` belongs to, and the microseconds since its begin: down to minus half a frame.
fn place_in_time(at: Time) -> (i64, i64) {
    let shifted_us = at.plus_micros(HALF_FRAME_US).0;
    (shifted_us.div_euclid(SLOT_US), shifted_us.rem_euclid(SLOT_US) - HALF_FRAME_US)
}

/// How many frames last `micros`, to the nearest.
fn nearest_frame(micros: i64) -> usize {
    let samples = micros * i64::from(FORMAT.sample_rate_hz) / 1_000_000;
    ((samples + SAMPLES_PER_FRAME / 2) / SAMPLES_PER_FRAME) as usize
}

/// The words for a time, in order.
fn words(time: &Zoned) -> Vec<Word> {
    let (hour, minute) = (time.hour() as u8, time.minute() as u8);
    let mut words = match (hour, minute) {
        (0, 0) => vec![Word::Midnight],
        (_, 0) => vec![Word::Number(hour), Word::OClock],
        (_, 1..=9) => vec![Word::Number(hour), Word::Oh(minute)],
        _ => vec![Word::Number(hour), Word::Number(minute)],
    };
    words.push(match time.second() / 15 {
        0 => Word::Exactly,
        quarter => Word::Seconds(quarter as u8 * 15),
    });
    words
}

/// What the voice can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// 0 to 59.
    Number(u8),
    /// "oh one" to "oh nine": minutes.
    Oh(u8),
    OClock,
    Midnight,
    Exactly,
    /// "and fifteen seconds": 15, 30 or 45.
    Seconds(u8),
}

/// The stretch between two announcements that is being played.
#[derive(Debug)]
struct Slot {
    /// Its begin in units of [`SLOT_US`].
    number: i64,
    script: Vec<Clip>,
    /// The frame to give next, counted from its begin.
    frame: usize,
}

impl Slot {
    /// The clip that holds the next frame, and the frame's place in it.
    fn next_in_clip<'a>(&'a self, silence: &'a Clip) -> (&'a Clip, usize) {
        let mut frame = self.frame;
        for clip in &self.script {
            if frame < clip.frames() {
                return (clip, frame);
            }
            frame -= clip.frames();
        }
        (silence, frame % silence.frames())
    }
}

/// Whole frames of [`FORMAT`] without a bit reservoir; both ends fade, so that any clip can follow any other.
#[derive(Clone, Debug)]
struct Clip {
    data: Bytes,
    /// Where each frame begins, and the end of the last.
    bounds: Arc<[usize]>,
}

impl Clip {
    fn new(data: &'static [u8]) -> Self {
        let mut bounds = vec![0];
        bounds.extend(frames_in(&FORMAT, data).scan(0, |end, frame| {
            *end += frame.len as usize;
            Some(*end)
        }));
        Clip { data: Bytes::from_static(data), bounds: bounds.into() }
    }

    fn frames(&self) -> usize {
        self.bounds.len() - 1
    }

    fn slice(&self, first: usize, count: usize) -> Bytes {
        self.data.slice(self.bounds[first]..self.bounds[first + count])
    }
}

macro_rules! clip {
    ($($name:literal)+) => {
        Clip::new(include_bytes!(concat!("../../assets/programme/", $($name,)+ ".mp3")))
    };
}

macro_rules! clips {
    ($prefix:literal: $($name:literal)+) => {
        [$(clip!($prefix $name)),+]
    };
}

/// All that can be heard.
#[derive(Debug)]
struct Clips {
    chime: Clip,
    silence: Clip,
    midnight: Clip,
    oclock: Clip,
    exactly: Clip,
    ohs: [Clip; 9],
    seconds: [Clip; 3],
    music: [Clip; 5],
    numbers: [Clip; 60],
}

impl Clips {
    fn load() -> Self {
        Clips {
            chime: clip!("chime"),
            silence: clip!("silence"),
            midnight: clip!("midnight"),
            oclock: clip!("oclock"),
            exactly: clip!("exactly"),
            ohs: clips!("oh-": "1" "2" "3" "4" "5" "6" "7" "8" "9"),
            seconds: clips!("seconds-": "15" "30" "45"),
            music: clips!("music-": "1" "2" "3" "4" "5"),
            numbers: clips!("number-":
                "00" "01" "02" "03" "04" "05" "06" "07" "08" "09" "10" "11" "12" "13" "14" "15" "16" "17" "18" "19"
                "20" "21" "22" "23" "24" "25" "26" "27" "28" "29" "30" "31" "32" "33" "34" "35" "36" "37" "38" "39"
                "40" "41" "42" "43" "44" "45" "46" "47" "48" "49" "50" "51" "52" "53" "54" "55" "56" "57" "58" "59"
            ),
        }
    }

    fn word(&self, word: Word) -> &Clip {
        match word {
            Word::Number(number) => &self.numbers[usize::from(number)],
            Word::Oh(minute) => &self.ohs[usize::from(minute) - 1],
            Word::OClock => &self.oclock,
            Word::Midnight => &self.midnight,
            Word::Exactly => &self.exactly,
            Word::Seconds(seconds) => &self.seconds[usize::from(seconds) / 15 - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Word::*;
    use super::*;

    const SECOND_US: i64 = 1_000_000;
    const DAY_US: i64 = 86_400 * SECOND_US;

    fn programme() -> Programme {
        Programme::resume(TimeZone::UTC, None)
    }

    fn said(programme: &Programme, at: &str) -> Vec<Word> {
        let at: Timestamp = at.parse().unwrap();
        words(&programme.local(at.as_microsecond() / SLOT_US))
    }

    fn all(clips: &Clips) -> Vec<&Clip> {
        let single = [&clips.chime, &clips.silence, &clips.midnight, &clips.oclock, &clips.exactly];
        single
            .into_iter()
            .chain(&clips.ohs)
            .chain(&clips.seconds)
            .chain(&clips.music)
            .chain(&clips.numbers)
            .collect()
    }

    /// Bytes of the announcement and the phrase of the slot that begins `begin_us`.
    fn script_bytes(programme: &Programme, begin_us: i64) -> Vec<u8> {
        let script = programme.script(begin_us / SLOT_US);
        script.iter().flat_map(|clip| clip.data.to_vec()).collect()
    }

    /// Runs the programme like its source does; calls `each` with the instant, the bytes and the samples of each run.
    fn play(programme: &mut Programme, from: Time, span_us: i64, mut each: impl FnMut(Time, &Bytes, u32)) {
        let mut samples = 0;
        loop {
            let at = from.plus_micros(FORMAT.micros(samples) as i64);
            if at.micros_since(from) >= span_us {
                return;
            }
            let (data, count) = programme.next_frames(at);
            each(at, &data, count);
            samples += u64::from(count);
        }
    }

    #[test]
    fn each_time_is_said_in_the_right_words() {
        let programme = programme();
        for (at, words) in [
            ("2026-11-23T00:00:00Z", vec![Midnight, Exactly]),
            ("2026-11-23T00:00:45Z", vec![Midnight, Seconds(45)]),
            ("2026-11-23T00:01:00Z", vec![Number(0), Oh(1), Exactly]),
            ("2026-11-23T09:00:00Z", vec![Number(9), OClock, Exactly]),
            ("2026-11-23T09:09:15Z", vec![Number(9), Oh(9), Seconds(15)]),
            ("2026-11-23T09:10:00Z", vec![Number(9), Number(10), Exactly]),
            ("2026-11-23T23:59:45Z", vec![Number(23), Number(59), Seconds(45)]),
        ] {
            assert_eq!(said(&programme, at), words, "{at}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_station_before_and_after_the_clocks_change() {
        let berlin = Programme::resume(TimeZone::get("Europe/Berlin").unwrap(), None);
        assert_eq!(said(&berlin, "2026-10-25T00:59:30Z"), [Number(2), Number(59), Seconds(30)]);
        assert_eq!(said(&berlin, "2026-10-25T01:00:00Z"), [Number(2), OClock, Exactly]);
        assert_eq!(said(&berlin, "2026-10-25T02:00:00Z"), [Number(3), OClock, Exactly]);
    }

    #[test]
    fn every_word_has_its_own_clip() {
        let clips = Clips::load();
        let mut sounds: Vec<_> = all(&clips).into_iter().map(|clip| clip.data.clone()).collect();
        let count = sounds.len();
        sounds.sort();
        sounds.dedup();
        assert_eq!(sounds.len(), count);
        assert_eq!(clips.word(Number(59)).data, include_bytes!("../../assets/programme/number-59.mp3")[..]);
        assert_eq!(clips.word(Oh(1)).data, include_bytes!("../../assets/programme/oh-1.mp3")[..]);
        assert_eq!(clips.word(Seconds(45)).data, include_bytes!("../../assets/programme/seconds-45.mp3")[..]);
    }

    #[test]
    fn every_clip_is_whole_frames_of_one_format_that_need_no_other_frame() {
        for clip in all(&Clips::load()) {
            assert_eq!(clip.bounds.last(), Some(&clip.data.len()));
            for frame in 0..clip.frames() {
                let frame = clip.slice(frame, 1);
                // MPEG-1 layer III without CRC, 64 kbit/s at 44.1 kHz, joint stereo; padding may vary.
                assert_eq!([frame[0], frame[1], frame[2] & !2, frame[3] & 0xc0], [0xff, 0xfb, 0x50, 0x40]);
                let main_data_begin = u16::from(frame[4]) << 1 | u16::from(frame[5] >> 7);
                assert_eq!(main_data_begin, 0, "no bit reservoir");
                // A Xing or Info header takes the place of the main data, behind 32 bytes of side information.
                assert!(!matches!(&frame[36..40], b"Xing" | b"Info"));
            }
        }
    }

    #[test]
    fn the_longest_announcement_leaves_room_for_the_whole_phrase() {
        let programme = programme();
        // A day has a whole number of rounds of the phrases, so all days are alike.
        let longest = (0..DAY_US / SLOT_US)
            .map(|number| programme.script(number).iter().map(Clip::frames).sum::<usize>())
            .max();
        assert!(longest <= Some(574), "{longest:?} frames are more than the 574 of a short slot");
    }

    #[test]
    fn over_a_day_each_announcement_begins_within_half_a_frame_of_its_instant() {
        let mut programme = programme();
        let from = Time(1_795_000_000_123_456);
        let chime = programme.clips.chime.slice(0, 1);
        let mut instants = 0;
        play(&mut programme, from, DAY_US, |at, data, _| {
            if data.starts_with(&chime) {
                let (_, offset_us) = place_in_time(at);
                assert!((-HALF_FRAME_US - 1..=HALF_FRAME_US + 1).contains(&offset_us), "{offset_us} µs");
                instants += 1;
            }
        });
        assert_eq!(instants, DAY_US / SLOT_US);
    }

    #[test]
    fn a_slot_plays_its_announcement_and_its_phrase_and_then_silence() {
        for minutes in 0..5 {
            let mut programme = programme();
            let begin_us = minutes * 60 * SECOND_US;
            let mut heard = Vec::new();
            play(&mut programme, Time(begin_us), 14_900_000, |_, data, _| heard.extend_from_slice(data));
            let script = script_bytes(&programme, begin_us);
            assert!(heard.starts_with(&script));
            let silence = &programme.clips.silence.data;
            assert!(heard[script.len()..].chunks(silence.len()).all(|chunk| silence.starts_with(chunk)));
        }
    }

    #[test]
    fn runs_are_whole_frames_within_their_limit() {
        play(&mut programme(), Time(7), 60 * SECOND_US, |_, data, samples| {
            let frames: Vec<_> = frames_in(&FORMAT, data).collect();
            assert!((1..=RUN_FRAMES_MAX).contains(&frames.len()));
            assert_eq!(frames.iter().map(|frame| frame.len as usize).sum::<usize>(), data.len());
            assert_eq!(frames.iter().map(|frame| frame.samples).sum::<u32>(), samples);
        });
    }

    #[test]
    fn another_programme_goes_on_with_the_same_frames() {
        let mut other = programme();
        play(&mut programme(), Time(7 * SECOND_US + 3), 60 * SECOND_US, |at, data, _| {
            other = Programme::resume(TimeZone::UTC, other.place());
            assert!(other.next_frames(at).0 == data, "at {at:?}");
        });
    }

    #[test]
    fn what_is_heard_depends_only_on_the_instant() {
        let mut running = programme();
        let from = Time(15 * SECOND_US);
        play(&mut running, from, 3_600 * SECOND_US, |_, _, _| {});
        for seconds in [3_700, 100, 101, 86_400, -20] {
            let at = from.plus_micros(seconds * SECOND_US);
            assert_eq!(running.next_frames(at), programme().next_frames(at), "{seconds} s");
        }
    }

    #[test]
    fn instants_that_are_off_by_half_a_frame_repeat_and_drop_no_frame() {
        let mut programme = programme();
        let begin_us = 30 * SECOND_US;
        let script = script_bytes(&programme, begin_us);
        let (mut heard, mut samples, mut error_us) = (Vec::new(), 0, 0);
        while heard.len() < script.len() {
            let at = Time(begin_us + FORMAT.micros(samples) as i64 + error_us);
            let (data, count) = programme.next_frames(at);
            heard.extend_from_slice(&data);
            samples += u64::from(count);
            error_us = if error_us > 0 { -HALF_FRAME_US } else { HALF_FRAME_US + 1 };
        }
        assert!(heard == script);
    }

    #[test]
    fn instants_beyond_the_calendar_are_no_trouble() {
        for at in [Time(i64::MIN), Time(i64::MAX)] {
            assert!(!programme().next_frames(at).0.is_empty());
        }
    }
}
