//! Titles that change within segments of HTTP Live Streaming: each told at its frame, in every container and in parts, and
//! as date ranges; the same after a restart.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::audio::{Codec, Frames};
use testkit::listener::{ListenerClient, Request};
use testkit::source::SourceOptions;

use crate::harness::{
    Host, PASSWORD, api, buffer_seconds, connect, frames, listen, merge, page, wait_for_buffer,
    wait_for_sources,
};
use crate::hls_parts::fragment;
use crate::playlists::{Listed, Media, body, media};
use crate::programs::{aac_frames, required, succeed};

/// Four chunks are a segment: of titles that are less than three chunks apart, no two that follow each other are at the
/// start of one.
pub const TITLES: [&str; 4] = ["One", "Björk - Jóga", "Th\"ree", "Four"];

/// A title in a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub title: String,
    /// Frames of the segment before it.
    pub frames: u64,
    /// The address that goes with it.
    pub url: Option<String>,
}

/// A server with segments of two seconds of the streams `/test` and `/aac`.
pub fn server(more: Value) -> Host {
    let stream = |format: &str| json!({"format": format, "source_password": PASSWORD, "burst": 1});
    let ours =
        json!({"hls": {"segment_duration": 2}, "streams": {"test": stream("mp3"), "aac": stream("aac")}});
    Host::start(merge(ours, more))
}

#[track_caller]
fn set(host: &Host, key: &str, title: &str, url: &str) {
    let body = json!({"StreamTitle": title, "StreamUrl": url});
    assert_eq!(api(host, "POST", &format!("/api/streams/{key}/metadata"), Some(&body)).0, 200);
}

/// Half a minute of `key` that is past, with `titles` and their addresses in its last seconds.
#[track_caller]
pub fn play<C: Codec + Clone + Send + 'static>(
    host: &Host,
    key: &str,
    frames: Frames<C>,
    titles: &[(&str, &str)],
) {
    let count = frames.count_in(std::time::Duration::from_secs(20));
    let mut source = connect(host, SourceOptions::new(&format!("/{key}"), PASSWORD));
    source.send(&frames.bytes(0..count)).unwrap();
    wait_for_buffer(host, key, 19.0);
    let source = source.send_paced(frames, count);
    for (title, url) in titles {
        set(host, key, title, url);
        wait_for_buffer(host, key, buffer_seconds(host, key) + 1.2);
    }
    wait_for_buffer(host, key, buffer_seconds(host, key) + 2.5);
    source.stop().unwrap().0.close();
    wait_for_sources(host, key, 0);
}

fn without_urls() -> Vec<(&'static str, &'static str)> {
    TITLES.into_iter().map(|title| (title, "")).collect()
}

/// The frames of the ID3v2.4 tag at the start of `data`, and how long it is.
#[track_caller]
fn tag(data: &[u8]) -> (Vec<(String, Vec<u8>)>, usize) {
    let size = |bytes: &[u8]| bytes.iter().fold(0, |size, byte| size << 7 | usize::from(*byte));
    assert_eq!(data[..6], *b"ID3\x04\0\0");
    let end = 10 + size(&data[6..10]);
    let (mut found, mut rest) = (Vec::new(), &data[10..end]);
    while !rest.is_empty() {
        let end = 10 + size(&rest[4..8]);
        found.push((String::from_utf8(rest[..4].to_vec()).unwrap(), rest[10..end].to_vec()));
        rest = &rest[end..];
    }
    (found, end)
}

#[track_caller]
fn told(tag: &[(String, Vec<u8>)], frames: u64) -> Option<Told> {
    let find = |id: &str| tag.iter().find(|(found, _)| found == id).map(|(_, body)| body);
    let title = find("TIT2")?.strip_prefix(&[3]).expect("UTF-8");
    let url = find("WXXX").map(|body| body.strip_prefix(&[3, 0]).expect("no description"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Some(Told { title: text(title), frames, url: url.map(text) })
}

/// The titles and the audio of a segment of packed audio; each stretch between two tags is whole frames.
#[track_caller]
fn packed<C: Codec + Clone>(frames: &Frames<C>, data: &[u8]) -> (Vec<Told>, Vec<u8>) {
    let (mut titles, mut audio, mut count, mut at) = (Vec::new(), Vec::new(), 0, 0);
    while at < data.len() {
        let (found, bytes) = tag(&data[at..]);
        let is_first = at == 0;
        assert_eq!(found.iter().any(|(id, _)| id == "PRIV"), is_first, "a time stamp is the first's");
        let title = told(&found, count);
        assert!(is_first || title.is_some());
        titles.extend(title);
        let stretch = &data[at + bytes..];
        let end = stretch.windows(5).position(|it| it == b"ID3\x04\0").unwrap_or(stretch.len());
        let report = frames.scan(&stretch[..end]);
        assert!(report.is_whole() && report.leading_bytes == 0 && report.frames > 0, "{report:?}");
        count += report.frames;
        audio.extend(&stretch[..end]);
        at += bytes + end;
    }
    (titles, audio)
}

/// The titles of the segment of packed audio at `uri`.
#[track_caller]
pub fn titles<C: Codec + Clone>(host: &Host, uri: &str, frames: &Frames<C>) -> Vec<Told> {
    packed(frames, &body(host, uri)).0
}

/// The date ranges of titles in a playlist: title and start. Each ends where the next begins, or is open.
#[track_caller]
pub fn ranges(text: &str) -> Vec<(String, String)> {
    let (found, ends): (Vec<_>, Vec<_>) = spans(text).into_iter().unzip();
    let starts = found.iter().map(|(_, start)| Some(start.clone()));
    let nexts = starts.skip(1).chain([None]).take(found.len());
    assert!(nexts.eq(ends.iter().cloned()), "{found:?} {ends:?}");
    found
}

/// The same with their ends.
#[track_caller]
fn spans(text: &str) -> Vec<((String, String), Option<String>)> {
    let class = ",CLASS=\"org.streammachine.title\",START-DATE=\"";
    let lines = text.lines().filter(|line| line.starts_with("#EXT-X-DATERANGE:") && line.contains(class));
    let read = |line: &str| {
        let (id, rest) =
            line.strip_prefix("#EXT-X-DATERANGE:ID=\"title-at-").unwrap().split_once('"').unwrap();
        assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "{line}");
        let (dates, title) = rest.strip_prefix(class).unwrap().split_once("\",X-TITLE=\"").unwrap();
        let (start, end) = match dates.split_once("\",END-DATE=\"") {
            Some((start, end)) => (start, Some(end.to_owned())),
            None => (dates, None),
        };
        ((title.strip_suffix('"').unwrap().to_owned(), start.to_owned()), end)
    };
    lines.map(read).collect()
}

#[track_caller]
fn first_frames<C: Codec + Clone>(host: &Host, key: &str, frames: &Frames<C>) -> Vec<(String, u32)> {
    let ranges = ranges(&page(host, &format!("/{key}.m3u8")).1);
    let first = |(title, date): (String, String)| {
        let start_ms = date.parse::<Timestamp>().unwrap().as_millisecond() - 1;
        let mut raw = listen(host, &format!("/{key}?start={start_ms}&end={}", start_ms + 1000));
        (title, frames.scan(&raw.read_body()).first.unwrap())
    };
    ranges.into_iter().map(first).collect()
}

#[test]
fn packed_aac_has_a_tag_at_the_frame_where_the_title_changes() {
    let host = server(json!({}));
    play(&host, "aac", aac_frames(), &without_urls());
    let (mut all, mut heard, mut within) = (Vec::new(), Vec::new(), 0);
    let mut on = String::new();
    for segment in media(&host, "/aac.m3u8").segments {
        let (titles, audio) = packed(&aac_frames(), &body(&host, &segment.uri));
        for told in titles {
            if told.title == on {
                assert_eq!(told.frames, 0, "told again at the start of a segment only");
                continue;
            }
            on = told.title;
            heard.push((on.replace('"', "'"), aac_frames().scan(&audio).first.unwrap() + told.frames as u32));
            within += usize::from(told.frames > 0);
        }
        all.extend(audio);
    }
    let report = aac_frames().scan(&all);
    assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    assert_eq!(
        heard.iter().map(|(title, _)| title).collect::<Vec<_>>(),
        ["One", "Björk - Jóga", "Th'ree", "Four"]
    );
    // How many are at the start of a segment by chance is not ours to say.
    assert!(within > 0, "{heard:?}");
    assert_eq!(first_frames(&host, "aac", &aac_frames()), heard);
}

/// ffmpeg would lose a frame at each tag.
#[test]
fn packed_mp3_has_no_tags_within_and_its_date_ranges_begin_where_transport_streams_have_theirs() {
    let host = server(json!({}));
    play(&host, "test", frames(), &without_urls());
    let (mut all, mut starts, mut within) = (Vec::new(), Vec::new(), Vec::new());
    for segment in media(&host, "/test.m3u8").segments {
        let whole = body(&host, &segment.uri);
        let (titles, audio) = packed(&frames(), &whole);
        assert!(titles.iter().all(|told| told.frames == 0), "{titles:?}");
        let (first, stamp) = (frames().scan(&audio).first.unwrap(), stamp(&whole));
        starts.push(first);
        let due = stamps(&body(&host, &segment.uri.replace(".mp3", ".ts"))).into_iter();
        // Rounded down to ticks, of which a frame has 2,351.
        let places = due.map(|due| ((due - stamp) as f64 * 44_100.0 / 90_000.0 / 1152.0).round() as u32);
        within.extend(places.filter(|place| *place > 0).map(|place| first + place));
        all.extend(audio);
    }
    let report = frames().scan(&all);
    assert!(report.is_continuous() && report.leading_bytes == 0, "{report:?}");
    let (titles, ranges): (Vec<_>, Vec<_>) = first_frames(&host, "test", &frames()).into_iter().unzip();
    assert_eq!(titles, ["One", "Björk - Jóga", "Th'ree", "Four"]);
    assert!(!within.is_empty() && within.iter().all(|frame| ranges.contains(frame)), "{within:?} {ranges:?}");
    assert!(ranges.iter().all(|frame| within.contains(frame) || starts.contains(frame)), "{ranges:?}");
}

/// Where the ID3 tags of the events in front of a fragment are due, in samples, with their ids.
fn events(data: &[u8]) -> Vec<(u64, u32, Told)> {
    let (mut found, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        let number = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
        let size = number(0) as usize;
        if &rest[4..8] == b"emsg" {
            assert_eq!((rest[8], number(12)), (1, 44_100));
            let at = u64::from_be_bytes(rest[16..24].try_into().unwrap());
            let message = rest[32..size].strip_prefix(b"https://aomedia.org/emsg/ID3\0\0").unwrap();
            found.push((at, number(28), told(&tag(message).0, 0).unwrap()));
        }
        rest = &rest[size..];
    }
    found
}

/// The time stamps of timed ID3 in a transport stream.
fn stamps(data: &[u8]) -> Vec<u64> {
    let starts = data.chunks(188).filter(|it| it[1] & 0x5F == 0x41 && it[2] == 1);
    let read = |packet: &[u8]| {
        let at = packet.windows(4).position(|it| it == [0, 0, 1, 0xBD]).unwrap();
        let [a, b, c, d, e] = packet[at + 9..at + 14] else { unreachable!("five bytes") };
        let [a, b, c, d, e] = [a & 0x0E, b, c & 0xFE, d, e & 0xFE].map(u64::from);
        a << 29 | b << 22 | c << 14 | d << 7 | e >> 1
    };
    starts.map(read).collect()
}

fn stamp(packed: &[u8]) -> u64 {
    let private = tag(packed).0.into_iter().find(|(id, _)| id == "PRIV").unwrap().1;
    u64::from_be_bytes(private[private.len() - 8..].try_into().unwrap())
}

fn other(segment: &Listed, extension: &str) -> String {
    segment.uri.replace(".aac", extension)
}

#[test]
fn all_containers_and_parts_tell_a_title_at_the_same_frame() {
    let directory = tempfile::tempdir().unwrap();
    let settings = json!({"rewind": {"dir": directory.path()}});
    let host = server(settings.clone());
    let titles: Vec<(&str, &str)> = TITLES.into_iter().map(|title| (title, "http://a/?b=c")).collect();
    play(&host, "aac", aac_frames(), &titles);
    let media = media(&host, "/aac.m3u8");
    let (mut uris, mut within, mut ids) = (Vec::new(), 0, Vec::new());
    for segment in &media.segments {
        let whole = body(&host, &segment.uri);
        let (mut titles, audio) = packed(&aac_frames(), &whole);
        let frames = aac_frames().scan(&audio).frames;
        within += titles.iter().filter(|told| told.frames > 0).count();
        assert!(titles.iter().all(|told| told.url.as_deref() == Some("http://a/?b=c")), "{titles:?}");
        let places: Vec<u64> = titles.iter().map(|told| told.frames * 1024).collect();
        titles.iter_mut().for_each(|told| told.frames = 0);

        let stamp = stamp(&whole);
        let due: Vec<u64> = places.iter().map(|samples| stamp + samples * 90_000 / 44_100).collect();
        assert_eq!(stamps(&body(&host, &other(segment, ".ts"))), due);

        let mapped = body(&host, &other(segment, ".m4s"));
        let (start, found) = (fragment(&mapped).0, events(&mapped));
        let expected: Vec<_> = places.iter().map(|samples| start + samples).zip(titles).collect();
        assert_eq!(found.iter().map(|(at, _, told)| (*at, told.clone())).collect::<Vec<_>>(), expected);
        ids.extend(found.iter().map(|(_, id, _)| *id));
        // Each event is in the part that has its frame.
        let (mut of_parts, mut next, mut number) = (Vec::new(), start, 0);
        while next < start + frames * 1024 {
            let uri = other(segment, &format!(".{number}.m4s"));
            let part = body(&host, &uri);
            let (from, sizes, _) = fragment(&part);
            assert_eq!(from, next);
            next += sizes.len() as u64 * 1024;
            let found = events(&part);
            assert!(found.iter().all(|(at, ..)| (from..next).contains(at)), "{uri}: {found:?}");
            of_parts.extend(found);
            uris.push(uri);
            number += 1;
        }
        assert_eq!((next, number), (start + frames * 1024, frames.div_ceil(22)));
        assert_eq!(of_parts, found);
        uris.extend([segment.uri.clone(), other(segment, ".ts"), other(segment, ".m4s")]);
    }
    assert!(within > 0);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each place has an id of its own");
    let text = page(&host, "/aac.m3u8").1;
    let bodies: Vec<_> = uris.iter().map(|uri| body(&host, uri)).collect();
    drop(host);
    let host = server(settings);
    assert!(uris.iter().map(|uri| body(&host, uri)).eq(bodies), "the same after a restart");
    assert_eq!(ranges(&page(&host, "/aac.m3u8").1), ranges(&text));
}

#[test]
fn a_segment_with_titles_within_answers_ranges_and_heads() {
    let host = server(json!({}));
    play(&host, "aac", aac_frames(), &without_urls());
    let segments = media(&host, "/aac.m3u8").segments;
    let has_change = |segment: &&Listed| {
        packed(&aac_frames(), &body(&host, &segment.uri)).0.iter().any(|told| told.frames > 0)
    };
    let uri = &segments.iter().find(has_change).unwrap().uri;
    let whole = body(&host, uri);
    let at = whole[10..].windows(5).position(|it| it == b"ID3\x04\0").unwrap() + 10;
    let range = format!("bytes={}-{}", at - 3, at + 20);
    let mut part = ListenerClient::get(host.listeners(), uri, &[("Range", &range), ("Connection", "close")]);
    assert_eq!((part.status, part.read_body()), (206, whole[at - 3..=at + 20].to_vec()));
    let request = Request { headers: &[("Connection", "close")], ..Request::new("HEAD", uri) };
    let head = ListenerClient::send(host.listeners(), &request);
    assert_eq!(head.header("Content-Length"), Some(whole.len().to_string().as_str()));
}

#[test]
fn a_title_that_ends_is_told_and_one_that_never_changes_is_no_range() {
    let host = server(json!({"streams": {"test": {"metaTitle": "Station"}}}));
    play(&host, "test", frames(), &[]);
    assert_eq!(ranges(&page(&host, "/test.m3u8").1), []);
    play(&host, "aac", aac_frames(), &[("One", ""), ("", ""), ("Two", "http://a/"), ("Two", "http://b/")]);
    let text = page(&host, "/aac.m3u8").1;
    let spans = spans(&text);
    let titles: Vec<&str> = spans.iter().map(|((title, _), _)| title.as_str()).collect();
    assert_eq!(titles, ["One", "Two"]);
    let [((_, one), Some(end)), ((_, two), None)] = &spans[..] else { panic!("{spans:?}") };
    assert!(one < end && end < two, "{spans:?}");
    let mut told: Vec<Told> = Vec::new();
    for segment in Media::parse(&text).segments {
        told.extend(packed(&aac_frames(), &body(&host, &segment.uri)).0);
    }
    let mut told: Vec<_> = told.into_iter().map(|told| (told.title, told.url)).collect();
    told.dedup();
    let known = |title: &str, url: Option<&str>| (title.to_owned(), url.map(str::to_owned));
    let of_two = [known("Two", Some("http://a/")), known("Two", Some("http://b/"))];
    // That it ended is told within a segment only: at the start of one there is nothing to say.
    assert!(told.first() == Some(&known("One", None)) && told.ends_with(&of_two), "{told:?}");
    assert!((3..=4).contains(&told.len()), "{told:?}");
}

#[test]
fn a_window_has_the_titles_of_its_time() {
    let host = server(json!({}));
    play(&host, "test", frames(), &without_urls());
    let all = ranges(&page(&host, "/test.m3u8").1);
    let us = |range: &(String, String)| range.1.parse::<Timestamp>().unwrap().as_microsecond();
    // From within the second on up to within the third.
    let (start_ms, end_ms) = (us(&all[1]) / 1000 + 10, us(&all[2]) / 1000 + 10);
    let closed = page(&host, &format!("/test.m3u8?start={start_ms}&end={end_ms}")).1;
    let media_of_it = Media::parse(&closed);
    assert!(media_of_it.is_closed);
    let (first, last) = (&media_of_it.segments[0], media_of_it.segments.last().unwrap());
    // Dates are told in milliseconds: what overlaps by no more than two of them meets. A frame is longer.
    let is_heard = |nth: &usize| {
        let ends = all.get(nth + 1).map_or(i64::MAX, us);
        us(&all[*nth]) + 2_000 < last.date_us + last.length_us && ends > first.date_us + 2_000
    };
    let heard: Vec<_> = (0..all.len()).filter(is_heard).map(|nth| all[nth].clone()).collect();
    assert_eq!(ranges(&closed), heard);
    let first_ms = media(&host, "/test.m3u8").segments[0].date_us / 1000;
    let before = page(&host, &format!("/test.m3u8?start={}&end={}", first_ms + 1, first_ms + 8000)).1;
    assert_eq!(ranges(&before), []);
    assert_eq!(ranges(&page(&host, "/test.m3u8?_HLS_skip=YES").1), all);
}

#[test]
fn titles_that_are_programmes_are_listed_once() {
    let host = server(json!({"streams": {"test": {"programs_from_metadata": true}}}));
    play(&host, "test", frames(), &without_urls());
    let text = page(&host, "/test.m3u8").1;
    assert_eq!(ranges(&text), []);
    assert_eq!(text.matches("CLASS=\"org.streammachine.program\"").count(), TITLES.len());
}

#[test]
fn ffmpeg_tells_the_title_and_decodes_every_frame_over_changes_of_it() {
    let host =
        server(json!({"streams": {"test": {"metaTitle": "Station"}, "aac": {"metaTitle": "Station"}}}));
    play(&host, "test", frames(), &without_urls());
    play(&host, "aac", aac_frames(), &without_urls());
    for (key, container, samples) in [
        ("test", "packed", 1152),
        ("test", "ts", 1152),
        ("aac", "packed", 1024),
        ("aac", "ts", 1024),
        ("aac", "fmp4", 1024),
    ] {
        let segments = media(&host, &format!("/{key}.m3u8")).segments;
        let middle_ms = |segment: &Listed| (segment.date_us + segment.length_us / 2) / 1000;
        let (start, end) = (middle_ms(&segments[2]), middle_ms(segments.last().unwrap()));
        let target = format!("/{key}.m3u8?container={container}&start={start}&end={end}");
        let length_us: i64 = media(&host, &target).segments.iter().map(|segment| segment.length_us).sum();
        let frames = (length_us as f64 / 1e6 * 44_100.0 / f64::from(samples)).round() as usize;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("heard.pcm");
        let mut decoder = required("ffmpeg");
        decoder
            .args(["-nostdin", "-loglevel", "fatal", "-i"])
            .arg(format!("http://{}{target}", host.listeners()));
        decoder.args(["-map", "0:a", "-ac", "1", "-f", "s16le"]).arg(&file);
        succeed(decoder);
        let heard = std::fs::read(&file).unwrap().len() / 2;
        assert_eq!(heard / samples as usize, frames, "{target}");
    }
    for key in ["test", "aac"] {
        let segment = &media(&host, &format!("/{key}.m3u8")).segments[2];
        let mut probe = required("ffprobe");
        probe.args(["-loglevel", "error", "-show_entries", "format_tags=title", "-of", "default=nw=1"]);
        let told = succeed({
            probe.arg(format!("http://{}{}", host.listeners(), segment.uri));
            probe
        });
        assert!(told.output().contains("TAG:title=Station"), "{}", told.output());
    }
}
