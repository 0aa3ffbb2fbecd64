//! Low latency: that parts are the frames of the stream as soon as they are there, that playlists with parts keep the
//! rules, and that requests are held until what they ask for is there.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only, not in what they share

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use serde_json::json;
use testkit::audio::AdtsFrames;
use testkit::listener::{ListenerClient, Request};
use testkit::source::{PacedSource, SourceClient, SourceOptions};
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, connect, frames, get, merge, page, play, test_stream, wait_for_buffer, wait_for_sources,
};
use crate::playlists::{Media, media, whole_body};

const PLAYLIST: &str = "/aac.m3u8?container=fmp4";
/// Samples of a frame of AAC.
const FRAME_SAMPLES: u64 = 1024;
/// Frames that fit into 0.512 s at 44.1 kHz.
const PART_FRAMES: u32 = 22;

fn aac() -> AdtsFrames {
    AdtsFrames::new(64, 44_100, 2)
}

fn count(seconds: u64) -> u32 {
    aac().count_in(Duration::from_secs(seconds)) + 1
}

/// A server with segments of two seconds, and the stream `/aac`.
fn server(settings: serde_json::Value) -> Host {
    let stream = json!({"format": "aac", "source_password": PASSWORD, "burst": 5});
    let ours = json!({"hls": {"segment_duration": 2}, "streams": {"aac": stream}});
    Host::start(merge(ours, settings))
}

#[track_caller]
fn aac_source(host: &Host) -> SourceClient {
    connect(host, SourceOptions::new("/aac", PASSWORD))
}

/// Audio that is past, from a source that has gone.
#[track_caller]
fn play_aac(host: &Host, seconds: u64) {
    let mut source = aac_source(host);
    source.send(&aac().bytes(0..count(seconds))).unwrap();
    source.close();
    wait_for_sources(host, "aac", 0);
    wait_for_buffer(host, "aac", seconds as f64 - 0.5);
}

/// A source that has sent `seconds` at once and goes on at the pace of time.
#[track_caller]
fn aac_on_air(host: &Host, seconds: u64) -> PacedSource {
    let mut source = aac_source(host);
    source.send(&aac().bytes(0..count(seconds))).unwrap();
    wait_for_buffer(host, "aac", seconds as f64 - 0.5);
    source.send_paced(aac(), count(seconds))
}

/// What the frames of `numbers` hold behind their headers.
fn blocks(numbers: Range<u32>) -> Vec<u8> {
    numbers.flat_map(|number| aac().bytes(number..number + 1)[7..].to_vec()).collect()
}

#[track_caller]
fn body(host: &Host, uri: &str) -> Vec<u8> {
    let response = get(host, uri);
    assert_eq!(response.header("Content-Type"), Some("audio/mp4"));
    whole_body(response, uri)
}

/// The boxes of `data`, each with its kind and its body.
fn boxes(mut data: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let size = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
        found.push((&data[4..8], &data[8..size]));
        data = &data[size..];
    }
    found
}

/// Decode time, sample sizes and audio of a part or a segment, which is one fragment, perhaps behind events.
#[track_caller]
pub fn fragment(data: &[u8]) -> (u64, Vec<usize>, Vec<u8>) {
    let all = boxes(data);
    let [(b"moof", moof), (b"mdat", audio)] =
        all.iter().filter(|it| it.0 != b"emsg").copied().collect::<Vec<_>>()[..]
    else {
        panic!("one fragment: {:?}", all.iter().map(|it| String::from_utf8_lossy(it.0)).collect::<Vec<_>>())
    };
    let find = |data, kind: &[u8]| boxes(data).into_iter().find(|it| it.0 == kind).unwrap().1;
    let track = find(moof, b"traf");
    let time = u64::from_be_bytes(find(track, b"tfdt")[4..12].try_into().unwrap());
    let run = find(track, b"trun");
    let sizes: Vec<usize> =
        run[12..].chunks(4).map(|it| u32::from_be_bytes(it.try_into().unwrap()) as usize).collect();
    assert_eq!(u32::from_be_bytes(run[4..8].try_into().unwrap()) as usize, sizes.len());
    assert_eq!(sizes.iter().sum::<usize>(), audio.len());
    (time, sizes, audio.to_vec())
}

#[test]
fn parts_are_the_samples_of_their_segment_none_lost_or_repeated() {
    let host = server(json!({}));
    play_aac(&host, 60);
    let media = media(&host, PLAYLIST);
    let listed: Vec<_> = media.segments.iter().filter(|segment| !segment.parts.is_empty()).collect();
    assert!((3..=4).contains(&listed.len()), "{}", listed.len());
    let mut all = Vec::new();
    for segment in &listed {
        let (time, sizes, audio) = fragment(&body(&host, &segment.uri));
        let (mut at, mut part_sizes, mut part_audio) = (time, Vec::new(), Vec::new());
        for part in &segment.parts {
            let (part_time, sizes, audio) = fragment(&body(&host, &part.uri));
            assert_eq!(part_time, at, "{}", part.uri);
            let samples = sizes.len() as u64 * FRAME_SAMPLES;
            assert_eq!(part.length_us as u64, samples * 1_000_000 / 44_100);
            at += samples;
            part_sizes.extend(sizes);
            part_audio.extend(audio);
        }
        assert_eq!((part_sizes, &part_audio), (sizes, &audio));
        all.extend(part_audio);
    }
    for part in &media.growing {
        all.extend(fragment(&body(&host, &part.uri)).2);
    }
    let known = blocks(0..count(60));
    assert!(known.windows(all.len()).any(|window| window == all), "they are frames in a row");
}

#[test]
fn every_segment_has_its_parts_however_long_ago_and_no_others() {
    let host = server(json!({}));
    play_aac(&host, 60);
    let media = media(&host, PLAYLIST);
    for segment in &media.segments[..3] {
        let (_, sizes, audio) = fragment(&body(&host, &segment.uri));
        let part = |number: usize| segment.uri.replace(".m4s", &format!(".{number}.m4s"));
        let count = sizes.len().div_ceil(PART_FRAMES as usize);
        let joined: Vec<u8> = (0..count).flat_map(|number| fragment(&body(&host, &part(number))).2).collect();
        assert_eq!(joined, audio);
        assert_eq!(get(&host, &part(count)).status, 404);
    }
    let newest = media.segments.last().unwrap().seq;
    let grown = media.growing.len();
    for uri in [
        format!("/aac/ts/{}.{}.m4s", newest + 1, grown + 1),
        format!("/aac/ts/{}.0.m4s", newest + 2),
        format!("/aac/ts/{newest}.18446744073709551615.m4s"),
        "/aac/ts/18446744073709551615.0.m4s".to_owned(),
        format!("/aac/ts/{}.0.m4s", media.segments[0].seq - 1000),
    ] {
        let response = get(&host, &uri);
        assert_eq!((response.status, response.header("Cache-Control")), (404, Some("max-age=1")), "{uri}");
    }
}

#[test]
fn playlists_with_parts_keep_the_rules_part_by_part() {
    let host = server(json!({}));
    let source = aac_on_air(&host, 20);
    let mut earlier = media(&host, PLAYLIST);
    let mut audio: Vec<u8> = Vec::new();
    let mut ends = 0;
    while ends < 2 {
        let (segment, part) = earlier.newest_part();
        let later = media(&host, &format!("{PLAYLIST}&_HLS_msn={segment}&_HLS_part={}", part + 1));
        later.check_after(&earlier);
        let newest = later.newest_part();
        assert!(newest > (segment, part), "it was held until something came");
        // A part beyond the last of a segment is the first of the next.
        let wanted = if newest.0 == segment { (segment, part + 1) } else { (segment + 1, 0) };
        ends += u64::from(newest.0 > segment);
        assert!(newest >= wanted && newest.0 <= segment + 1, "{newest:?} for {wanted:?}");
        let uri = format!("/aac/ts/{}.{}.m4s", newest.0, newest.1);
        audio = fragment(&body(&host, &uri)).2;
        earlier = later;
    }
    let (_, next) = source.stop().unwrap();
    assert!(blocks(0..next).windows(audio.len()).any(|window| window == audio));
}

#[test]
fn the_part_that_is_hinted_at_is_sent_when_it_is_whole() {
    let host = server(json!({}));
    let _source = aac_on_air(&host, 20);
    let start = media(&host, PLAYLIST);
    // A part has just come: the next one is half a second away.
    let before = eventually(DEADLINE, || {
        let now = media(&host, PLAYLIST);
        (now.newest_part() > start.newest_part()).then_some(now)
    });
    let hint = before.hint.clone().unwrap();
    let held = body(&host, &hint);
    let after = media(&host, PLAYLIST);
    after.check_after(&before);
    let mut listed = after.segments.iter().flat_map(|it| &it.parts).chain(&after.growing);
    assert!(listed.any(|part| part.uri == hint), "it is listed when it is sent");
    assert_eq!(held, body(&host, &hint));
}

#[test]
fn what_is_held_ends() {
    let host = server(json!({"hls": {"segment_duration": 1}}));
    play_aac(&host, 20);
    let media = media(&host, PLAYLIST);
    let last = media.segments.last().unwrap().seq;
    let grown = media.growing.len() as u64;
    // The source has gone: it does not come, and both are told within three target durations.
    let hint = get(&host, media.hint.as_deref().unwrap());
    assert_eq!((hint.status, hint.header("Cache-Control")), (404, Some("max-age=1")));
    let reload = get(&host, &format!("{PLAYLIST}&_HLS_msn={}&_HLS_part={grown}", last + 1));
    assert_eq!((reload.status, reload.header("Cache-Control")), (503, Some("no-store")));
    // A window whose end is past is still open while its audio may be late, and held like any other.
    let (start, end) = (media.segments[10].date_us / 1000, jiff::Timestamp::now().as_millisecond());
    let window = format!("{PLAYLIST}&start={start}&end={end}");
    let open = self::media(&host, &window);
    assert!(!open.is_closed && open.server_control.is_some_and(|it| it.starts_with("CAN-BLOCK-RELOAD=YES")));
    assert_eq!(get(&host, &format!("{window}&_HLS_msn={}", last + 1)).status, 503);
    for (query, status) in [
        ("_HLS_part=0".to_owned(), 400),
        (format!("_HLS_msn={}", last + 3), 400),
        (format!("_HLS_msn={}&_HLS_part={}", last + 1, grown + 6), 400),
        (format!("_HLS_msn={}&_HLS_part=6", last + 2), 400),
        (format!("_HLS_msn={last}&_HLS_part=0"), 200),
        (format!("_HLS_msn={}&_HLS_part=99", last - 1), 200),
        ("_HLS_msn=0&_HLS_part=0".to_owned(), 200),
        ("_HLS_msn=0".to_owned(), 200),
        ("parts=maybe".to_owned(), 400),
    ] {
        assert_eq!(page(&host, &format!("{PLAYLIST}&{query}")).0, status, "{query}");
    }
}

#[test]
fn one_address_does_not_take_all_places() {
    const ADDRESS_MAX: usize = 64;
    let host = server(json!({"hls": {"segment_duration": 2}}));
    play_aac(&host, 20);
    let hint = media(&host, PLAYLIST).hint.unwrap();
    let request = format!("GET {hint} HTTP/1.1\r\nHost: radio.example\r\nConnection: close\r\n\r\n");
    let mut held: Vec<_> = (0..=ADDRESS_MAX)
        .map(|_| {
            let mut socket = TcpStream::connect(host.listeners()).unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            socket
        })
        .collect();
    let answers: Vec<String> = held
        .iter_mut()
        .map(|socket| {
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            answer.to_lowercase()
        })
        .collect();
    // The source has gone: what is held ends with 404.
    let (refused, ended): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.starts_with("http/1.1 503 "));
    assert_eq!((refused.len(), ended.len()), (1, ADDRESS_MAX));
    assert!(refused[0].contains("\r\nretry-after: 1\r\n"), "{}", refused[0]);
    assert!(ended.iter().all(|it| it.starts_with("http/1.1 404 ")));
}

#[test]
fn parts_are_only_where_they_help() {
    let host = server(test_stream(json!({})));
    play_aac(&host, 60);
    play(&host, 0..frames().count_in(Duration::from_secs(60)));
    let with = media(&host, PLAYLIST);
    assert_eq!(with.part_target_us, Some(512_000));
    let date_s = with.segments[4].date_us / 1_000_000 + 1;
    let since = media(&host, &format!("{PLAYLIST}&start={date_s}"));
    assert_eq!((since.part_target_us, &since.hint), (Some(512_000), &with.hint));
    for target in [
        "/aac.m3u8".to_owned(),
        "/aac.m3u8?container=ts".to_owned(),
        "/test.m3u8".to_owned(),
        format!("{PLAYLIST}&parts=no"),
        format!("{PLAYLIST}&delay=20"),
        format!("{PLAYLIST}&start={date_s}&end={}", date_s + 10),
    ] {
        let without = media(&host, &target);
        assert_eq!((without.part_target_us, &without.hint), (None, &None), "{target}");
    }
    // The same segments under the same addresses.
    let without = media(&host, &format!("{PLAYLIST}&parts=no"));
    let places = |media: &Media| media.segments.iter().map(|it| (it.seq, it.uri.clone())).collect::<Vec<_>>();
    assert_eq!(places(&with), places(&without));
}

#[test]
fn the_variants_of_a_group_say_the_same_and_report_on_each_other() {
    let low = json!({"format": "aac", "source": "aac", "group": "all"});
    let host = server(json!({"streams": {"aac": {"group": "all"}, "low": low}}));
    play_aac(&host, 60);
    let (status, text) = page(&host, "/sg/all.m3u8?container=fmp4");
    assert_eq!(status, 200);
    let variants: Vec<&str> = text.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(variants.len(), 2);
    let both = variants.iter().map(|target| media(&host, target)).collect::<Vec<_>>();
    assert_eq!(both[0].server_control, both[1].server_control);
    for (media, target) in both.iter().zip(&variants) {
        let other = if target.starts_with("/aac") { "/low.m3u8" } else { "/aac.m3u8" };
        let (segment, part) = media.newest_part();
        let report = format!("URI=\"{other}\",LAST-MSN={segment},LAST-PART={part}");
        assert_eq!(media.reports, [report], "they are cut alike");
    }
    assert_eq!(media(&host, "/aac.m3u8?container=fmp4&parts=no").reports, Vec::<String>::new());
}

#[test]
fn parts_are_the_same_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let settings = json!({"rewind": {"dir": directory.path()}});
    let host = server(settings.clone());
    play_aac(&host, 30);
    let before = media(&host, PLAYLIST);
    let uris =
        before.segments.iter().flat_map(|it| &it.parts).chain(&before.growing).map(|it| it.uri.clone());
    let uris: Vec<String> = uris.collect();
    let bodies: Vec<_> = uris.iter().map(|uri| body(&host, uri)).collect();
    drop(host);
    let host = server(settings);
    assert_eq!(media(&host, PLAYLIST), before);
    assert!(uris.iter().map(|uri| body(&host, uri)).eq(bodies));
}

#[test]
fn parts_answer_ranges_heads_and_known_tags() {
    let host = server(json!({}));
    play_aac(&host, 30);
    let media = media(&host, PLAYLIST);
    let uri = &media.segments.last().unwrap().parts[0].uri;
    let mut whole = get(&host, uri);
    assert!(whole.header("Cache-Control").unwrap().ends_with(", immutable"));
    let (etag, body) = (whole.header("ETag").unwrap().to_owned(), whole.read_body());
    let with = |name: &str, value: &str| {
        ListenerClient::get(host.listeners(), uri, &[(name, value), ("Connection", "close")])
    };
    assert_eq!(with("If-None-Match", &etag).status, 304);
    let mut range = with("Range", "bytes=10-19");
    assert_eq!((range.status, range.read_body()), (206, body[10..20].to_vec()));
    let request = Request { headers: &[("Connection", "close")], ..Request::new("HEAD", uri) };
    let head = ListenerClient::send(host.listeners(), &request);
    assert_eq!(head.header("Content-Length"), Some(body.len().to_string().as_str()));
    assert_ne!(get(&host, &media.segments.last().unwrap().uri).header("ETag"), Some(etag.as_str()));
    // A reload that waited is answered for ever alike; one that did not is soon old.
    let seq = media.segments.last().unwrap().seq;
    for (query, age) in [(String::new(), 1), (format!("&_HLS_msn={seq}&_HLS_part=0"), 12)] {
        let response = get(&host, &format!("{PLAYLIST}{query}"));
        assert_eq!(response.header("Cache-Control"), Some(format!("public, max-age={age}").as_str()));
    }
}

#[test]
fn a_delta_has_all_parts_and_is_small() {
    let host = server(json!({}));
    play_aac(&host, 600);
    let whole = page(&host, PLAYLIST).1;
    let target = format!("{PLAYLIST}&_HLS_skip=YES");
    let delta = page(&host, &target).1;
    let (read, all) = (Media::parse(&delta), Media::parse(&whole));
    assert_eq!(read.skipped as usize + read.segments.len(), all.segments.len());
    assert!((6..=7).contains(&read.segments.len()), "{}", read.segments.len());
    assert_eq!((&read.hint, &read.growing), (&all.hint, &all.growing));
    let parts = |media: &Media| media.segments.iter().flat_map(|it| it.parts.clone()).collect::<Vec<_>>();
    assert_eq!(parts(&read), parts(&all));
    assert!(whole.len() > 20_000 && delta.len() < 2_300, "{} {}", whole.len(), delta.len());
    let headers = [("Accept-Encoding", "gzip"), ("Connection", "close")];
    let packed = ListenerClient::get(host.listeners(), &target, &headers).read_body();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, delta);
}
