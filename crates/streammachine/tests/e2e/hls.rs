//! HTTP Live Streaming: that segments are the frames of the stream, that playlists keep the rules, and that every part of
//! the past has an address.

use std::io::Read as _;

use serde_json::json;
use testkit::audio::AdtsFrames;
use testkit::listener::{ListenerClient, Request};
use testkit::programs::require;
use testkit::source::SourceOptions;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    Host, PASSWORD, connect, content_start_us, count, frames, get, listen, merge, on_air, page, play,
    set_title, source, test_stream, wait_for_buffer, wait_for_sources,
};
use crate::playlists::{Listed, Media};

/// Seconds of audio.
const SECONDS: u64 = 120;
/// Bytes before the audio of a segment without a title.
const TAG_BYTES: usize = 73;

/// A server with segments of two seconds.
fn server(stream: serde_json::Value) -> Host {
    Host::start(merge(test_stream(stream), json!({"hls": {"segment_duration": 2}})))
}

/// The same with the past in it.
fn server_of_the_past() -> Host {
    let host = server(json!({}));
    play(&host, 0..count(SECONDS));
    host
}

#[track_caller]
fn media(host: &Host, target: &str) -> Media {
    let mut response = get(host, target);
    let text = response.read_text();
    assert_eq!(response.status, 200, "{target}: {text}");
    assert_eq!(response.header("Content-Type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
    Media::parse(&text)
}

/// Time stamp and audio of a segment without a title.
#[track_caller]
fn fetch(host: &Host, segment: &Listed) -> (u64, Vec<u8>) {
    let mut response = get(host, &segment.uri);
    assert_eq!(response.status, 200, "{}", segment.uri);
    assert_eq!(response.header("Content-Type"), Some("audio/mpeg"));
    let length: usize = response.header("Content-Length").and_then(|it| it.parse().ok()).expect("a length");
    let body = response.read_body();
    assert_eq!(body.len(), length);
    assert_eq!((&body[..3], &body[10..14]), (&b"ID3"[..], &b"PRIV"[..]));
    assert_eq!(&body[20..65], b"com.apple.streaming.transportStreamTimestamp\0");
    let stamp = u64::from_be_bytes(body[65..TAG_BYTES].try_into().expect("eight bytes"));
    (stamp, body[TAG_BYTES..].to_vec())
}

#[test]
fn segments_are_the_frames_of_the_stream_none_lost_or_repeated() {
    let host = server_of_the_past();
    let media = media(&host, "/test.m3u8");
    assert!(media.segments.len() >= 58, "{}", media.segments.len());
    let (mut audio, mut samples, mut first_stamp) = (Vec::new(), 0, None);
    for segment in &media.segments {
        assert_eq!(segment.uri, format!("/test/ts/{}.mp3", segment.seq));
        let (stamp, bytes) = fetch(&host, segment);
        let first_stamp = *first_stamp.get_or_insert(stamp);
        assert_eq!(stamp, first_stamp + samples * 90_000 / 44_100, "exact: rounded down once");
        let report = frames().scan(&bytes);
        assert!(report.is_whole() && report.leading_bytes == 0, "{report:?}");
        let length_us = report.frames * 1152 * 1_000_000 / 44_100;
        assert_eq!(segment.length_us as u64, length_us);
        samples += report.frames * 1152;
        audio.extend(bytes);
    }
    let report = frames().scan(&audio);
    assert!(report.is_continuous() && report.first == Some(0), "{report:?}");
    // The raw stream has the same, and dates it alike.
    let raw = listen(&host, "/test?pump=1000");
    assert!((content_start_us(&raw) - media.segments[0].date_us).abs() <= 1000);
    let cut = media.segments[5].date_us;
    let mut shifted = listen(&host, &format!("/test?start={}", cut / 1000 - 1));
    let bytes = fetch(&host, &media.segments[5]).1;
    assert!(shifted.body.read_exact(bytes.len()) == bytes, "a segment begins where the raw stream does");
}

#[test]
fn a_live_window_keeps_the_rules_while_it_grows_and_over_a_change_of_source() {
    let host = server(json!({}));
    let first = on_air(&host, 20);
    let mut earlier = media(&host, "/test.m3u8");
    let grow = |earlier: &mut Media, by: u64| {
        let last = earlier.segments.last().unwrap().seq;
        let later = eventually(DEADLINE, || {
            let now = media(&host, "/test.m3u8");
            now.check_after(earlier);
            (now.segments.last().unwrap().seq >= last + by).then_some(now)
        });
        let newest = later.segments.last().unwrap();
        let now_us = jiff::Timestamp::now().as_microsecond();
        assert!(newest.date_us + newest.length_us <= now_us + 50_000, "it is dated into the future");
        *earlier = later;
    };
    grow(&mut earlier, 2);
    assert_eq!(earlier.segments.iter().filter(|segment| segment.discontinuity).count(), 1);
    let (connection, next) = first.stop().unwrap();
    connection.close();
    wait_for_sources(&host, "test", 0);
    let mut second = source(&host);
    second.send(&frames().bytes(next..next + 5)).unwrap();
    let _second = second.send_paced(frames(), next + 5);
    grow(&mut earlier, 3);
    let marked: Vec<_> = earlier.segments.iter().filter(|segment| segment.discontinuity).collect();
    assert_eq!(marked.len(), 2, "the first and the one after the change");
    assert_eq!(marked[1].discontinuity_seq, marked[0].discontinuity_seq + 1);
}

#[test]
fn numbers_dates_and_bytes_are_the_same_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let settings = merge(
        test_stream(json!({})),
        json!({"hls": {"segment_duration": 2}, "rewind": {"dir": directory.path()}}),
    );
    let host = Host::start(settings.clone());
    play(&host, 0..count(SECONDS));
    let before = media(&host, "/test.m3u8");
    let bytes = fetch(&host, &before.segments[7]);
    drop(host);
    let host = Host::start(settings);
    let after = media(&host, "/test.m3u8");
    assert_eq!(after, before);
    assert!(fetch(&host, &after.segments[7]) == bytes);
    play(&host, count(SECONDS)..count(SECONDS) + 400);
    let grown = media(&host, "/test.m3u8");
    grown.check_after(&after);
    let next = &grown.segments[after.segments.len()];
    let listed_us: i64 = after.segments.iter().map(|segment| segment.length_us).sum();
    let grew = listed_us + 1_000 < i64::from(count(SECONDS)) * 1152 * 1_000_000 / 44_100;
    assert_eq!(next.discontinuity, !grew, "what was still growing is whole now");
    assert!(grown.segments[after.segments.len() + 1].discontinuity);
}

/// The number in a segment's address.
fn named(segment: &Listed) -> u64 {
    let name = segment.uri.rsplit('/').next().and_then(|name| name.split('.').next());
    name.and_then(|name| name.parse().ok()).expect("segments are named by their numbers")
}

#[test]
fn numbers_go_on_where_audio_was_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let settings = merge(
        test_stream(json!({})),
        json!({"hls": {"segment_duration": 2}, "rewind": {"dir": directory.path()}}),
    );
    let host = Host::start(settings.clone());
    play(&host, 0..count(SECONDS));
    let before = media(&host, "/test.m3u8");
    let bytes: Vec<_> = before.segments.iter().map(|segment| fetch(&host, segment)).collect();
    drop(host);
    // A byte in the middle of the block before the newest, and one at the start of that.
    let files = std::fs::read_dir(directory.path().join("test")).unwrap().map(|it| it.unwrap().path());
    let mut blocks: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "mp3")).collect();
    blocks.sort();
    for (block, part) in blocks.iter().rev().zip([0, 2]) {
        let mut audio = std::fs::read(block).unwrap();
        let at = audio.len() * part / 4;
        audio[at] ^= 1;
        std::fs::write(block, audio).unwrap();
    }

    let host = Host::start(settings);
    assert_eq!(host.logs().matches("audio that differs from its checksum").count(), 2, "{}", host.logs());
    let _source = on_air(&host, 10);
    wait_for_buffer(&host, "test", 60.0);
    let wait = |next: u64| media(&host, &format!("/test.m3u8?_HLS_msn={next}"));
    let after = wait(before.segments.last().unwrap().seq + 3);
    let (old, new): (Vec<&Listed>, Vec<&Listed>) =
        after.segments.iter().partition(|segment| named(segment) <= before.segments.last().unwrap().seq);
    assert!((20..50).contains(&old.len()), "{} of {}", old.len(), before.segments.len());
    for segment in &before.segments {
        let kept = old.iter().any(|old| old.uri == segment.uri);
        let nth = (segment.seq - before.sequence) as usize;
        match kept {
            true => assert!(fetch(&host, segment) == bytes[nth], "{segment:?}"),
            false => assert_eq!(get(&host, &segment.uri).status, 404, "{segment:?}"),
        }
    }
    assert!(new[0].discontinuity && new[1..].iter().all(|segment| !segment.discontinuity));
    assert!(new.len() >= 3 && new.iter().all(|segment| named(segment) == segment.seq), "{new:?}");
    // Nothing moves any more, and reloads wait for what comes.
    let next = after.segments.last().unwrap().seq + 1;
    let later = wait(next);
    later.check_after(&after);
    assert_eq!(named(later.segments.last().unwrap()), next);
}

#[test]
fn every_part_of_the_past_has_an_address() {
    let host = server_of_the_past();
    let all = media(&host, "/test.m3u8").segments;
    let middle_ms = |segment: &Listed| (segment.date_us + segment.length_us / 2) / 1000;
    let (from, to) = (middle_ms(&all[10]), middle_ms(&all[20]));
    let closed = media(&host, &format!("/test.m3u8?start={from}&end={to}"));
    assert!(closed.is_closed && closed.server_control.is_none());
    assert_eq!(closed.segments, all[10..=20]);

    let since = media(&host, &format!("/test.m3u8?start={from}"));
    assert_eq!(since.segments, all[10..]);
    assert!(!since.is_closed);
    let offset_us = from * 1000 - all[10].date_us;
    let start = format!("TIME-OFFSET={}.{:06},PRECISE=YES", offset_us / 1_000_000, offset_us % 1_000_000);
    let told = since.start.expect("it says where to start");
    assert_eq!(told[..14], start[..14], "{told} for {start}");

    let window = media(&host, "/test.m3u8?window=20");
    assert_eq!(window.segments, all[all.len() - window.segments.len()..]);
    assert!((10..=11).contains(&window.segments.len()), "{}", window.segments.len());

    let until_us = jiff::Timestamp::now().as_microsecond() - 60_000_000;
    let delayed = media(&host, "/test.m3u8?delay=60&window=20").segments;
    let newest = delayed.last().unwrap();
    assert!(all.contains(newest) && delayed.len() >= 10);
    let behind_us = until_us - newest.date_us - newest.length_us;
    assert!((-1_000_000..4_000_000).contains(&behind_us), "{behind_us}");

    let (start_s, end_s) = (from / 1000, to / 1000);
    let ours = media(&host, &format!("/test.m3u8?start={start_s}&end={end_s}"));
    let theirs = format!("/test.m3u8?aws.manifestsettings=start:{start_s};end:{end_s}");
    assert_eq!(media(&host, &theirs), ours);
    for target in ["/test.m3u8?offset=60", "/test.m3u8?start=-60", "/test.m3u8?start=09:00&window=20&x=1"] {
        let response = get(&host, target);
        assert_eq!((response.status, response.header("Cache-Control")), (302, Some("no-store")), "{target}");
        let location = response.header("Location").unwrap();
        assert!(location.starts_with("/test.m3u8?start="), "{location}");
        if !target.contains("09:00") {
            assert!(media(&host, location).segments.len() <= 31);
        }
    }
}

#[test]
fn what_is_not_there_is_told() {
    let host = server_of_the_past();
    let all = media(&host, "/test.m3u8").segments;
    let first_s = all[0].date_us / 1_000_000;
    for (target, status, reason) in [
        (format!("/test.m3u8?start={}&end={}", first_s - 100, first_s - 50), 404, "nothing of that time"),
        (format!("/test.m3u8?start={}&strict=1", first_s - 100), 404, "nothing of that time"),
        (format!("/test.m3u8?start={first_s}&duration=999999"), 400, "a closed window may last"),
        ("/test.m3u8?window=0".to_owned(), 400, "window must be"),
        ("/test.m3u8?delay=3600".to_owned(), 404, "No data."),
        ("/test.m3u8?_HLS_msn=99999999999".to_owned(), 400, "that is too far ahead of segment "),
        ("/test.m3u8?_HLS_part=0".to_owned(), 400, "_HLS_msn must be"),
        ("/nothing.m3u8".to_owned(), 404, "Invalid stream."),
        ("/sg/nothing.m3u8".to_owned(), 404, "Invalid stream group."),
        (format!("/test/ts/{}.mp3", all[0].seq - 1), 404, "Segment not found."),
        (format!("/test/ts/{}.mp3", all[0].seq + 1000), 404, "Segment not found."),
        (format!("/test/ts/{}.aac", all[0].seq), 404, "Segment not found."),
        ("/test/ts/99999999999999999999.mp3".to_owned(), 404, "Invalid stream."),
    ] {
        let mut response = get(&host, &target);
        let text = response.read_text();
        assert!(
            response.status == status && text.starts_with(reason),
            "{target}: {} {text}",
            response.status
        );
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"), "{target}");
        if reason.starts_with("Invalid stream") && target.ends_with(".m3u8") {
            assert_eq!(response.header("Cache-Control"), Some("max-age=1"), "{target}");
        }
    }
    // What is partly gone is what is left.
    let clamped = media(&host, &format!("/test.m3u8?start={}&end={}", first_s - 100, first_s + 10));
    assert_eq!(clamped.segments[0], all[0]);
    let empty = server(json!({}));
    assert_eq!(page(&empty, "/test.m3u8"), (404, "No data.\n".to_owned()));
    play(&empty, 0..count(3));
    assert_eq!(page(&empty, "/test.m3u8"), (404, "No data.\n".to_owned()));
}

#[test]
fn playlists_and_segments_are_good_for_caches() {
    let host = server_of_the_past();
    let mut plain = get(&host, "/test.m3u8");
    assert_eq!(plain.header("Cache-Control"), Some("public, max-age=1"));
    let (etag, text) = (plain.header("ETag").unwrap().to_owned(), plain.read_text());
    let mut packed = ListenerClient::get(
        host.listeners(),
        "/test.m3u8",
        &[("Accept-Encoding", "deflate, gzip"), ("Range", "bytes=0-10"), ("Connection", "close")],
    );
    assert_eq!((packed.status, packed.header("Content-Encoding")), (200, Some("gzip")));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.read_body()[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    assert_ne!(packed.header("ETag"), Some(etag.as_str()), "other bytes, another tag");
    let with = |target: &str, name: &str, value: &str| {
        ListenerClient::get(host.listeners(), target, &[(name, value), ("Connection", "close")])
    };
    assert_eq!(with("/test.m3u8", "If-None-Match", &etag).status, 304);
    assert_eq!(with("/test.m3u8", "If-None-Match", "\"x\"").status, 200);

    let uri = Media::parse(&text).segments[3].uri.clone();
    let mut whole = get(&host, &uri);
    assert!(whole.header("Cache-Control").unwrap().ends_with(", immutable"));
    let (etag, body) = (whole.header("ETag").unwrap().to_owned(), whole.read_body());
    assert_eq!(with(&uri, "If-None-Match", &etag).status, 304);
    for (asked, part) in
        [("bytes=0-", 0..body.len()), ("bytes=70-79", 70..80), ("bytes=-5", body.len() - 5..body.len())]
    {
        let mut answer = with(&uri, "Range", asked);
        assert_eq!(answer.status, 206);
        let range = format!("bytes {}-{}/{}", part.start, part.end - 1, body.len());
        assert_eq!(answer.header("Content-Range"), Some(range.as_str()));
        assert!(answer.read_body() == body[part], "{asked}");
    }
    assert_eq!(with(&uri, "Range", &format!("bytes={}-", body.len())).status, 416);
    for (target, length) in [("/test.m3u8", text.len()), (uri.as_str(), body.len())] {
        let request = Request { headers: &[("Connection", "close")], ..Request::new("HEAD", target) };
        let head = ListenerClient::send(host.listeners(), &request);
        assert_eq!(head.status, 200);
        assert_eq!(head.header("Content-Length"), Some(length.to_string().as_str()), "{target}");
    }
}

#[test]
fn a_group_lists_its_streams_as_variants_that_are_cut_alike() {
    let stream = |more| merge(json!({"source": "test", "group": "all"}), more);
    let host = Host::start(merge(
        test_stream(json!({"group": "all", "name": "High \"quality\""})),
        json!({"hls": {"segment_duration": 2}, "streams": {
            "low": stream(json!({"bandwidth": 32000, "codec": "mp4a.40.2"})),
            "other": {"source_password": "testing"},
        }}),
    ));
    play(&host, 0..count(30));
    let (status, text) = page(&host, "/sg/all.m3u8?session_id=me");
    assert_eq!(status, 200);
    let (low, high) = text.split_once("/low.m3u8?session_id=me\n").expect(&text);
    assert_eq!(
        low,
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=32000,AVERAGE-BANDWIDTH=64000,\
         CODECS=\"mp4a.40.2\",NAME=\"low\"\n"
            .replace("64000", low.split("AVERAGE-BANDWIDTH=").nth(1).unwrap().split(',').next().unwrap())
    );
    let bandwidth: u64 = high.split("BANDWIDTH=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((70_000..72_000).contains(&bandwidth), "{text}");
    assert!(high.ends_with(",CODECS=\"mp4a.40.34\",NAME=\"High 'quality'\"\n/test.m3u8?session_id=me\n"));
    let (a, b) = (media(&host, "/test.m3u8?session_id=me"), media(&host, "/low.m3u8"));
    assert_eq!((a.sequence, a.discontinuities), (b.sequence, b.discontinuities));
    for (a, b) in a.segments.iter().zip(&b.segments) {
        assert_eq!((a.seq, a.date_us, a.length_us), (b.seq, b.date_us, b.length_us));
        assert_eq!(a.uri.replace("/test/", "/low/"), b.uri);
    }
    // A session of its own for whoever has none, unless it names one in a header; a stream is a group of one.
    let fresh = |target: &str| page(&host, target).1.split("session_id=").nth(1).unwrap().to_owned();
    assert_ne!(fresh("/sg/all.m3u8"), fresh("/sg/all.m3u8"));
    assert!(page(&host, "/sg/other.m3u8").1.contains("/other.m3u8?session_id="));
    let headers = [("X-Playback-Session-Id", "7"), ("Connection", "close")];
    let text = ListenerClient::get(host.listeners(), "/sg/all.m3u8?delay=60", &headers).read_text();
    assert!(text.ends_with("\n/test.m3u8?delay=60\n"), "{text}");
}

#[test]
fn a_reload_may_wait_for_a_segment_and_leave_out_what_is_known() {
    let host = server(json!({}));
    let _source = on_air(&host, 60);
    let whole = media(&host, "/test.m3u8");
    let control = "CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0";
    assert_eq!(whole.server_control.as_deref(), Some(control));
    let next = whole.segments.last().unwrap().seq + 1;
    let waited = media(&host, &format!("/test.m3u8?_HLS_msn={next}"));
    assert_eq!(waited.segments.last().unwrap().seq, next, "exactly when it is there");
    waited.check_after(&whole);
    let delta = media(&host, &format!("/test.m3u8?_HLS_msn={next}&_HLS_skip=YES"));
    assert_eq!((delta.sequence, delta.discontinuities), (waited.sequence, waited.discontinuities));
    assert_eq!(delta.skipped as usize + delta.segments.len(), waited.segments.len());
    let places = |segments: &[Listed]| segments.iter().map(|it| (it.seq, it.date_us)).collect::<Vec<_>>();
    assert_eq!(places(&delta.segments), places(&waited.segments[delta.skipped as usize..]));
    assert!((6..=7).contains(&delta.segments.len()), "{}", delta.segments.len());
    let short = media(&host, "/test.m3u8?window=10&_HLS_skip=YES");
    assert_eq!(
        (short.skipped, short.server_control.as_deref()),
        (0, Some(control)),
        "the same in all variants"
    );
}

#[test]
fn a_player_may_be_shown_the_last_two_minutes_only() {
    let settings = json!({"hls": {"segment_duration": 2, "limit_full_index": "^Full"}});
    let host = Host::start(merge(test_stream(json!({})), settings));
    play(&host, 0..count(400));
    let by = |agent: &str, target: &str| {
        let headers = [("User-Agent", agent), ("Connection", "close")];
        Media::parse(&ListenerClient::get(host.listeners(), target, &headers).read_text())
    };
    let (full, short) = (by("Full/1", "/test.m3u8"), by("Other", "/test.m3u8"));
    assert!(full.segments.len() > 190);
    assert!((60..=61).contains(&short.segments.len()), "{}", short.segments.len());
    assert_eq!(short.segments, full.segments[full.segments.len() - short.segments.len()..]);
    assert_eq!(by("Other", "/test.m3u8?ua=Full"), full);
    assert_eq!(by("Other", "/test.m3u8?window=1000"), full);
}

#[test]
fn a_segment_tells_the_title_at_its_start() {
    let host = server(json!({"metaTitle": "One"}));
    play(&host, 0..count(20));
    set_title(&host, "Björk - Jóga");
    play(&host, count(20)..count(40));
    let segments = media(&host, "/test.m3u8").segments;
    let body = |segment: &Listed| get(&host, &segment.uri).read_body();
    let has = |body: &[u8], text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(&body(&segments[1]), "TIT2") && has(&body(&segments[1]), "One"));
    assert!(has(&body(segments.last().unwrap()), "Björk - Jóga"));
}

#[test]
fn segments_that_leave_the_playlist_are_served_a_while_longer() {
    // Blocks of 1 MiB and no more than 4 MiB in all.
    let host = server(json!({"bytes_max": 4_194_304}));
    play(&host, 0..count(400));
    let before = media(&host, "/test.m3u8");
    play(&host, count(400)..count(500));
    let after = media(&host, "/test.m3u8");
    after.check_after(&before);
    assert!(after.sequence > before.sequence, "old segments leave");
    let left: Vec<_> = before.segments.iter().filter(|segment| segment.seq < after.sequence).collect();
    assert_eq!(get(&host, &left.last().unwrap().uri).status, 200);
    // 4 MiB are 524 seconds: nothing may be kept for as long as the four hours that are set would be.
    let newest = get(&host, &after.segments.last().unwrap().uri);
    let age = newest.header("Cache-Control").unwrap().strip_prefix("public, max-age=").unwrap().to_owned();
    let age_s: u64 = age.strip_suffix(", immutable").unwrap().parse().unwrap();
    assert!((500..=524).contains(&age_s), "{age_s}");
}

#[test]
fn the_same_frames_come_in_every_container() {
    let settings = json!({"hls": {"segment_duration": 2}, "streams": {"aac": {
        "format": "aac", "source_password": PASSWORD, "metaTitle": "Björk - Jóga",
    }}});
    let host = Host::start(merge(test_stream(json!({})), settings));
    let aac = AdtsFrames::new(64, 44_100, 2);
    let mut source = connect(&host, SourceOptions::new("/aac", PASSWORD));
    source.send(&aac.bytes(0..1000)).unwrap();
    source.close();
    wait_for_sources(&host, "aac", 0);
    // The source has gone before the last of its audio is written.
    wait_for_buffer(&host, "aac", 23.0);
    let packed = media(&host, "/aac.m3u8");
    let mapped = media(&host, "/aac.m3u8?container=fmp4");
    let transport = media(&host, "/aac.m3u8?container=ts");
    assert_eq!(mapped.map.as_deref(), Some("/aac/ts/init-2-44100-2.mp4"));
    assert_eq!(packed.map, None);
    let mut init = get(&host, "/aac/ts/init-2-44100-2.mp4");
    assert_eq!((init.status, init.header("Content-Type")), (200, Some("audio/mp4")));
    let init = init.read_body();
    assert_eq!(&init[4..8], b"ftyp");
    let asked = |header| ListenerClient::get(host.listeners(), "/aac/ts/init-2-44100-2.mp4", &[header]);
    let mut part = asked(("Range", "bytes=4-7"));
    let range = format!("bytes 4-7/{}", init.len());
    assert_eq!((part.status, part.header("Content-Range")), (206, Some(range.as_str())));
    assert_eq!(part.read_body(), b"ftyp");
    let etag = part.header("ETag").unwrap().to_owned();
    assert_eq!(asked(("If-None-Match", &etag)).status, 304);
    let mut raw = Vec::new();
    for nth in 0..packed.segments.len() {
        let [packed, mapped, transport] = [&packed, &mapped, &transport].map(|media| &media.segments[nth]);
        assert_eq!(
            (packed.seq, packed.date_us, packed.length_us),
            (mapped.seq, mapped.date_us, mapped.length_us)
        );
        assert_eq!(packed.uri.replace(".aac", ".m4s"), mapped.uri);
        assert_eq!(packed.uri.replace(".aac", ".ts"), transport.uri);
        let bodies = [packed, mapped, transport].map(|it| get(&host, &it.uri).read_body());
        let report = aac.scan(&bodies[0]);
        assert!(report.breaks.is_empty(), "{report:?}");
        let frames = report.first.unwrap()..report.last.unwrap() + 1;
        // What an ADTS frame holds behind its header of seven bytes.
        let blocks: Vec<u8> = frames.flat_map(|number| aac.bytes(number..number + 1)[7..].to_vec()).collect();
        assert!(bodies[1].ends_with(&blocks), "segment {nth}");
        assert!(bodies[2].len().is_multiple_of(188) && bodies[2].chunks(188).all(|it| it[0] == 0x47));
        raw.extend(blocks);
        if nth == 0 {
            let title = "Björk - Jóga".as_bytes();
            // In a transport stream it is spread over several packets.
            let told = bodies.each_ref().map(|body| body.windows(title.len()).any(|it| it == title));
            assert_eq!(told[..2], [true; 2]);
        }
    }
    assert!(!raw.is_empty());
    assert_eq!(get(&host, "/aac/ts/init-99-44100-2.mp4").status, 404);
    assert_eq!(get(&host, &packed.segments[0].uri.replace(".aac", ".mp3")).status, 404);
    play(&host, 0..count(20));
    let (status, text) = page(&host, "/test.m3u8?container=fmp4");
    assert!(status == 400 && text.starts_with("no player takes MP3 in fragmented MP4"), "{status} {text}");
    let transport = media(&host, "/test.m3u8?container=ts&window=6");
    assert!(get(&host, &transport.segments[0].uri).read_body().len().is_multiple_of(188));
    assert_eq!(page(&host, "/test.m3u8?container=avi").0, 400);
}

#[test]
fn ffprobe_reads_every_container_from_the_first_to_the_last_frame() {
    let settings = json!({"hls": {"segment_duration": 2}, "streams": {"aac": {
        "format": "aac", "source_password": PASSWORD,
    }}});
    let host = Host::start(merge(test_stream(json!({})), settings));
    play(&host, 0..count(60));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tone.aac");
    let mut encoder = std::process::Command::new(require("ffmpeg"));
    encoder.args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=60", "-c:a", "aac"]);
    assert!(encoder.arg(&file).status().unwrap().success());
    let mut source = connect(&host, SourceOptions::new("/aac", PASSWORD));
    source.send(&std::fs::read(&file).unwrap()).unwrap();
    source.close();
    wait_for_sources(&host, "aac", 0);
    wait_for_buffer(&host, "aac", 59.9);
    for (key, container, codec) in [
        ("test", "packed", "mp3"),
        ("test", "ts", "mp3"),
        ("aac", "packed", "aac"),
        ("aac", "ts", "aac"),
        ("aac", "fmp4", "aac"),
    ] {
        let list = media(&host, &format!("/{key}.m3u8"));
        let (first, last) = (&list.segments[2], &list.segments[list.segments.len() - 2]);
        let (start, end) = (first.date_us / 1000 + 500, last.date_us / 1000 + 500);
        let target = format!("/{key}.m3u8?container={container}&start={start}&end={end}");
        let closed = media(&host, &target);
        assert!(closed.is_closed && closed.segments.len() > 20, "{target}");
        let length_us: i64 = closed.segments.iter().map(|segment| segment.length_us).sum();
        let mut probe = std::process::Command::new(require("ffprobe"));
        probe.args(["-loglevel", "error", "-count_packets", "-of", "csv=p=0"]);
        probe.args(["-show_entries", "stream=codec_name,nb_read_packets", "-select_streams", "a"]);
        let output = probe.arg(format!("http://{}{target}", host.listeners())).output().unwrap();
        let (told, complaint) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let (name, packets) =
            told.trim().lines().next().unwrap_or_default().split_once(',').unwrap_or_default();
        assert_eq!((name, complaint.trim()), (codec, ""), "{target}: {told}");
        let samples = if codec == "mp3" { 1152 } else { 1024 };
        let frames = (length_us as f64 / 1e6 * 44_100.0 / f64::from(samples)).round() as i64;
        assert_eq!(packets.trim_end_matches(',').parse::<i64>().unwrap(), frames, "{target}");
    }
}
