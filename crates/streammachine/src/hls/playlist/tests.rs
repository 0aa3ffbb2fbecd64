//! Tests of playlists, over logs of a day.

use audio::{Chunk, Format};
use bytes::Bytes;
use rewind::{Config, SegmentSeq};
use wire::icy::Metadata;

use super::*;
use crate::hls::coding::Coding;

const AAC: Format =
    Format { codec: Codec::Aac, profile: 2, sample_rate_hz: 48_000, channels: 2, bitrate_kbps: 0 };
const START: Time = Time(1_764_000_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// A title every three minutes.
const TITLE_CHUNKS: i64 = 350;
/// Length of a chunk of 24 frames.
const CHUNK_US: i64 = 512_000;

/// A day of chunks in segments of `segment_s`.
fn a_day(segment_s: i64) -> (State, Arc<Log>) {
    with_chunks(segment_s, (0..DAY.as_micros() as i64 / CHUNK_US).map(|number| number * CHUNK_US))
}

/// Chunks that start so many microseconds after [`START`], in segments of `segment_s`.
fn with_chunks(segment_s: i64, starts: impl Iterator<Item = i64>) -> (State, Arc<Log>) {
    let config = Config {
        key: "test".to_owned(),
        dir: None,
        keep: 2 * DAY,
        bytes_max: u64::MAX,
        segment: Duration::from_secs(segment_s as u64),
    };
    let (mut writer, log, _) = Log::open(config, START).unwrap();
    let (mut segment, mut end) = (-1, -1);
    for (number, start) in (0_i64..).zip(starts) {
        let now = start / 1_000_000 / segment_s;
        if number % TITLE_CHUNKS == 0 {
            let title = format!("A Singer - The Song of number {}", number / TITLE_CHUNKS);
            writer.set_metadata(Metadata { title, url: String::new() }, START);
        }
        writer.append(&Chunk {
            format: AAC,
            time: START.plus_micros(start),
            span_us: CHUNK_US as u32,
            samples: 24 * 1024,
            starts_segment: now != segment || start != end,
            discontinuity: start != end,
            data: Bytes::from_static(b"frames"),
        });
        (segment, end) = (now, start + CHUNK_US);
    }
    let container = Container::Fmp4;
    let mut lines = Lines::new(container);
    lines.follow(&log, "test", Some(SegmentSeq(0)).max(log.segments().map(|it| it.first)));
    let (texts, target) = (HashMap::new(), Duration::from_secs(segment_s as u64));
    (State { container, target, followed: None, lines, texts }, log)
}

fn decode(query: &str) -> HlsQuery {
    let query = wire::path::Query::decode(query).unwrap();
    HlsQuery::decode(&query, jiff::Timestamp::MAX, &jiff::tz::TimeZone::UTC).unwrap()
}

fn select(state: &State, query: &str, now: Time) -> Result<Selected, Missing> {
    state.select(&decode(query), &Rule { target: state.target, window: None }, now)
}

fn get((state, log): &mut (State, Arc<Log>), query: &str) -> Arc<Playlist> {
    let selected = select(state, query, START).unwrap();
    let named = Named { programs: &Listed::default(), titles: Some(&**log) };
    let text = state.key(&selected, &decode(query), Extras::default(), named);
    state.text(text, &selected.range, "test", named)
}

#[test]
fn a_reload_of_a_day_is_small_without_its_old_part() {
    for (segment_s, plain_max) in [(2, 2_300), (4, 3_500), (10, 7_500)] {
        let mut day = a_day(segment_s);
        let delta = get(&mut day, "container=fmp4&_HLS_skip=YES");
        let [plain, gzip, brotli] =
            [Coding::Identity, Coding::Gzip, Coding::Brotli].map(|coding| delta.text.body(coding));
        let text = std::str::from_utf8(plain).unwrap();
        let titles: Vec<&str> = text.lines().filter(|line| line.contains("DATERANGE")).collect();
        let titles_bytes = titles.concat().len() + titles.len();
        assert!(titles.len() == FEW_TITLES && titles_bytes < 400, "{titles:?}");
        assert!(titles[1].ends_with("X-TITLE=\"A Singer - The Song of number 482\""), "{titles:?}");
        assert!(text.len() - titles_bytes < plain_max, "segments of {segment_s} s: {}", text.len());
        let (gzip, brotli) = (gzip.len(), brotli.len());
        assert!(gzip < 1_000 && brotli < 900, "segments of {segment_s} s: {gzip}, {brotli}");
        let whole = get(&mut day, "container=fmp4");
        assert!(whole.text.body(Coding::Identity).len() > 80 * 86_400 / segment_s as usize);
    }
}

#[test]
fn a_window_grows_until_its_audio_is_there_or_would_be_late() {
    let (state, _log) = a_day(10);
    let edge = state.lines.last().unwrap().end_time;
    let open_for = |end: Time, now: Time| state.open_for(end, state.target, now);
    assert_eq!(open_for(edge, edge), None);
    let (late_s, second) = (10 + 2 * 10, 1_000_000);
    for ahead_s in [1, 100] {
        let end = edge.plus_micros(ahead_s * second);
        assert_eq!(open_for(end, edge), Some(Duration::from_secs((ahead_s + late_s) as u64)));
        assert_eq!(open_for(end, end), Some(Duration::from_secs(late_s as u64)));
        assert_eq!(open_for(end, end.plus_micros(late_s * second)), None);
        let query = format!("start={}&end={}", START.0 / second + 86_000, end.0 / second);
        for now in [end, end.plus_micros(late_s * second)] {
            let selected = select(&state, &query, now).unwrap();
            assert_eq!(selected.is_closed, open_for(Time(end.0 / second * second), now).is_none());
            assert_eq!(selected.grows, !selected.is_closed);
        }
    }
}

#[test]
fn what_has_just_begun_is_there_and_shown_with_the_segments_before() {
    let (state, _log) = with_chunks(10, (0..105).map(|number| number * CHUNK_US));
    let growing = *state.lines.growing().unwrap();
    // Three segments of 9.7 and 10.2 s are too short.
    let (count, second) = (state.lines.len(), 1_000_000);
    let start_s = growing.time.0 / second + 1;
    let (start, now) = (Time(start_s * second), growing.end_time);
    assert!(growing.time < start && start < now);
    for query in
        [format!("start={start_s}&strict=1"), format!("start={start_s}&end={}&strict=1", start_s + 60)]
    {
        let selected = select(&state, &query, now).unwrap();
        let wanted = Selected { range: count - 4..count, is_closed: false, start: Some(start), grows: true };
        assert_eq!(selected, wanted, "{query}");
    }
    // Behind the newest audio: the same, but nowhere to start, and an error for who is strict.
    let late_s = growing.end_time.0 / second + 2;
    let late = Time(late_s * second);
    for query in [format!("start={late_s}"), format!("start={late_s}&end={}", late_s + 60)] {
        let selected = select(&state, &query, late).unwrap();
        assert_eq!((selected.range, selected.start), (count - 4..count, None), "{query}");
        assert!(select(&state, &format!("{query}&strict=1"), late).is_err(), "{query}");
    }
    // What has not begun yet is not shown.
    let query = format!("start={late_s}&end={}", late_s + 60);
    assert!(select(&state, &query, late.plus_micros(-1)).is_err());
}

#[test]
fn an_outage_is_no_audio() {
    // 80 chunks, an hour without, and 40 more, in segments of 4 s: 16 of eight chunks or less on either side.
    let starts = (0..80).chain(0..40).enumerate().map(|(nth, _)| nth as i64 * CHUNK_US);
    let starts = starts.map(|start| if start < 80 * CHUNK_US { start } else { start + 3_600_000_000 });
    let mut outage = with_chunks(4, starts);
    let state = &outage.0;
    let (count, target_us) = (state.lines.len(), 4_000_000);
    let after =
        state.lines.segments(0..count).filter(|it| it.time > START.plus_micros(3_600_000_000)).count();
    for end in count - after..=count {
        for window_s in [1, 12, 20, 24] {
            let wanted_us = (window_s * 1_000_000).max(3 * target_us);
            let from = state.live(end, Some(Duration::from_secs(window_s))).unwrap().range.start;
            let of = |from: usize| state.lines.segments(from..end).map(Segment::duration_us).sum::<u64>();
            assert!(of(from) >= wanted_us && of(from + 1) < wanted_us, "{end} {window_s}");
        }
    }
    assert!(after < 6, "the newest segments are on both sides");
    let delta = get(&mut outage, "container=fmp4&_HLS_skip=YES");
    let text = std::str::from_utf8(delta.text.body(Coding::Identity)).unwrap();
    let state = &outage.0;
    let skipped = state.lines.reaching_back(count, 6 * target_us);
    let listed: u64 = state.lines.segments(skipped..count).map(Segment::duration_us).sum();
    assert!(listed >= 6 * target_us && skipped < count - after);
    assert!(text.contains(&format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n")), "{text}");
}

#[test]
fn texts_are_let_go_before_they_fill_the_memory() {
    let mut day = a_day(10);
    for start in 0..40 {
        let start_s = START.0 / 1_000_000 + 10 * start;
        let playlist = get(&mut day, &format!("container=fmp4&start={start_s}"));
        // Those that have both compressed forms take less room than was kept for them.
        if start % 3 == 0 {
            playlist.text.body(Coding::Gzip);
            playlist.text.body(Coding::Brotli);
        }
        let state = &day.0;
        let bytes: usize = state.texts.values().map(|playlist| playlist.text.bytes()).sum();
        assert!(bytes <= TEXTS_BYTES_MAX && !state.texts.is_empty(), "{bytes}");
    }
    assert!(day.0.texts.len() < 40);
}
