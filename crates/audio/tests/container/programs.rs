//! What ffprobe and ffmpeg make of the containers: every packet where and when it should be, and the very samples of the
//! bare frames, without a word of complaint.

use std::fs;
use std::path::Path;
use std::process::Command;

use audio::Format;
use audio::container::fmp4::{id3_event, init_segment, media_segment};
use audio::container::mpegts::transport_stream;
use audio::container::{TimedTag, id3_text_tag, id3_timestamp_tag};
use testkit::process::Process;
use testkit::programs::find;
use testkit::wait::DEADLINE;

use crate::support::{Audio, Cut};

/// A title that is not ASCII.
const TITLE: [(&str, &str); 1] = [("TIT2", "Jóga")];
/// Real AAC.
const AAC: [&str; 2] = ["aac-44100-2.aac", "aac-44100-1-id3.aac"];
/// Real MPEG audio, but for free format, which ffmpeg does not decode. The first one is layer II.
const MPEG: [&str; 6] = [
    "mp2-48000-192.mp2",
    "mp3-44100-128.mp3",
    "mp3-44100-vbr.mp3",
    "mp3-48000-96-crc.mp3",
    "mp3-22050-48-mono.mp3",
    "mp3-8000-8-mono.mp3",
];

/// Runs a program, if it is installed; panics if it fails or says anything else than `complaint`.
fn run(name: &str, arguments: &[&str], complaint: &str) -> Option<String> {
    let Some(program) = find(name) else {
        eprintln!("skipped: {name} is not installed");
        return None;
    };
    let mut command = Command::new(program);
    command.args(["-v", "warning"]).args(arguments);
    let mut process = Process::start(command);
    let end = process.wait(DEADLINE);
    assert!(end.success() && process.stderr() == complaint, "{arguments:?}: {end}\n{}", process.output());
    Some(process.stdout())
}

/// A file with `bytes`; tests share no names.
fn file(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).expect("cargo made the directory");
    path.into_os_string().into_string().expect("cargo's paths are UTF-8")
}

/// What ffprobe tells of `entries`, a line for each of them.
fn probe(path: &str, entries: &str, complaint: &str) -> Option<Vec<String>> {
    // An entry with side data has an empty line behind it, and a comma at its end.
    let text = run("ffprobe", &["-of", "csv=p=0", "-show_entries", entries, path], complaint)?;
    let lines = text.lines().map(|line| line.trim_end_matches(',').to_owned());
    Some(lines.filter(|line| !line.is_empty()).collect())
}

/// Sum over all samples that ffmpeg decodes; it may complain of what is below `level`.
fn decoded(path: &str, level: &str) -> Option<String> {
    run("ffmpeg", &["-v", level, "-nostdin", "-i", path, "-map", "0:a", "-f", "md5", "-"], "")
}

/// Wants ffmpeg to hear the same in the file at `path` as in the bare frames.
#[track_caller]
fn assert_decodes_as(audio: &Audio, path: &str) {
    let name = format!(
        "{}.{}",
        Path::new(path).file_name().expect("a file").display(),
        audio.format.codec.extension()
    );
    // Of bare frames it says that it has to guess how long they last.
    let bare = decoded(&file(&name, &audio.data), "error");
    assert_eq!(decoded(path, "warning"), bare, "{path}");
}

/// Time stamps and bytes of all packets, as ffprobe is to tell them, in ticks of `ticks_hz`; `bytes_less` is taken from
/// each frame.
fn expected_packets(audio: &Audio, base: i64, ticks_hz: u64, bytes_less: usize) -> Vec<String> {
    let rate = u64::from(audio.format.sample_rate_hz);
    let packet = |cut: Cut<'_>| {
        format!("{},{}", base + (cut.base_samples * ticks_hz / rate) as i64, cut.data.len() - bytes_less)
    };
    audio.cuts(1).into_iter().map(packet).collect()
}

/// Initialisation and media segments of `count` frames each, with an event in front of each.
fn fmp4(audio: &Audio, base_samples: u64, count: usize) -> Vec<Vec<u8>> {
    let mut segments = vec![init_segment(&audio.format).expect("a format of AAC")];
    for (cut, number) in audio.cuts(count).into_iter().zip(1..) {
        let at = base_samples + cut.base_samples;
        let mut segment = id3_event(&audio.format, at, number, &id3_text_tag(&TITLE));
        segment.extend(media_segment(&audio.format, number, at, cut.data).expect("whole frames"));
        segments.push(segment);
    }
    segments
}

/// Segments of `count` frames each, the first of which is due at `base_pts`.
fn ts(audio: &Audio, base_pts: u64, count: usize, id3: Option<&[TimedTag]>) -> Vec<Vec<u8>> {
    let segment = |(number, cut): (u32, Cut<'_>)| {
        let mut out = Vec::new();
        let pts = base_pts + ticks(audio, cut.base_samples);
        transport_stream(&audio.format, number, pts, cut.data, id3, &mut out).expect("whole frames");
        out
    };
    (0..).zip(audio.cuts(count)).map(segment).collect()
}

/// Ticks of 1/90,000 s that `samples` last, rounded down.
fn ticks(audio: &Audio, samples: u64) -> u64 {
    samples * 90_000 / u64::from(audio.format.sample_rate_hz)
}

/// Wants every time stamp to be the one expected, or one tick beside it, where two roundings meet.
#[track_caller]
fn assert_packets(found: &[String], expected: &[String], context: &str) {
    let split = |line: &String| -> (i64, String) {
        let (stamp, bytes) = line.split_once(',').expect("two fields");
        (stamp.parse().unwrap_or_else(|_| panic!("{context}: {line}")), bytes.to_owned())
    };
    let pairs = found.iter().map(split).zip(expected.iter().map(split));
    for ((stamp, bytes), (expected_stamp, expected_bytes)) in pairs {
        assert!(stamp.abs_diff(expected_stamp) <= 1 && bytes == expected_bytes, "{context}: {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{context}");
}

/// Puts segments, about equally long, beside a playlist of them; its path.
fn playlist(name: &str, extension: &str, map: Option<&[u8]>, segments: &[Vec<u8>], audio: &Audio) -> String {
    let mut text =
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned();
    if let Some(map) = map {
        file(&format!("{name}-init.mp4"), map);
        text += &format!("#EXT-X-MAP:URI=\"{name}-init.mp4\"\n");
    }
    let samples_each = audio.samples() / segments.len() as u64;
    for (number, segment) in (0..).zip(segments) {
        let segment_name = format!("{name}-{number}.{extension}");
        file(&segment_name, segment);
        let seconds = samples_each as f64 / f64::from(audio.format.sample_rate_hz);
        text += &format!("#EXTINF:{seconds:.6},\n{segment_name}\n");
    }
    text.push_str("#EXT-X-ENDLIST\n");
    file(&format!("{name}.m3u8"), text.as_bytes())
}

#[test]
fn fragmented_mp4_holds_every_frame_at_its_sample() {
    for name in AAC {
        let audio = Audio::of_file(name);
        // From the start, and from a place that takes nine months to reach.
        for base in [0, 1 << 40] {
            let path = file(&format!("{base}-{name}.mp4"), &fmp4(&audio, base, 7).concat());
            let Some(packets) = probe(&path, "packet=pts,size", "") else { return };
            assert_eq!(packets, expected_packets(&audio, base as i64, 44_100, 7), "{path}");
            let entries = "stream=codec_name,profile,sample_rate,channels,time_base,start_pts,duration_ts";
            // ffprobe's duration of a fragmented track is where it ends.
            let (channels, end) = (audio.format.channels, base + audio.samples());
            let expected = format!("aac,LC,44100,{channels},1/44100,{base},{end}");
            assert_eq!(probe(&path, entries, "").unwrap(), [expected], "{path}");
            assert_decodes_as(&audio, &path);
        }
    }
}

#[test]
fn high_efficiency_aac_is_announced_with_the_rate_of_its_output() {
    let mut audio = Audio::of_file(AAC[0]);
    audio.format.profile = 5;
    let path = file("he.mp4", &fmp4(&audio, 0, 7).concat());
    let Some(streams) = probe(&path, "stream=codec_name,sample_rate,channels,time_base", "") else { return };
    assert_eq!(streams, ["aac,88200,2,1/44100"]);
}

#[test]
fn a_transport_stream_holds_every_frame_at_its_time() {
    const WRAP: i64 = 1 << 33;
    for name in AAC.into_iter().chain(MPEG) {
        let audio = Audio::of_file(name);
        // From 0, from the 1.4 s that ffmpeg begins at, and over the end of 33 bits: there ffprobe counts from below 0.
        for (base, told) in [(0, 0), (126_000, 126_000), (WRAP - 45_000, -45_000)] {
            let path = file(&format!("{base}-{name}.ts"), &ts(&audio, base as u64, 7, None).concat());
            let Some(packets) = probe(&path, "packet=pts,size", "") else { return };
            assert_packets(&packets, &expected_packets(&audio, told, 90_000, 0), &path);
            let Format { sample_rate_hz, channels, .. } = audio.format;
            let codec = name.rsplit('.').next().unwrap();
            let expected = format!("{codec},{sample_rate_hz},{channels},1/90000,{told}");
            let entries = "stream=codec_name,sample_rate,channels,time_base,start_pts";
            assert_eq!(probe(&path, entries, "").unwrap()[0], expected, "{path}");
            assert_decodes_as(&audio, &path);
        }
    }
}

/// It knows the track, and says that it has no decoder for it.
#[test]
fn timed_id3_is_known_and_comes_with_the_audio() {
    const COMPLAINT: &str = "Unsupported codec with id 98313 for input stream 1\n";
    let audio = Audio::of_file(MPEG[1]);
    let tag = id3_text_tag(&TITLE);
    // At the start of each segment, and at its sixteenth frame.
    let tags = [0, 15 * 1_152].map(|samples| TimedTag { samples, tag: tag.clone() });
    let path = file("timed-id3.ts", &ts(&audio, 0, 20, Some(&tags)).concat());
    let Some(streams) = probe(&path, "stream=codec_name", COMPLAINT) else { return };
    assert_eq!(streams[..2], ["mp3", "timed_id3"]);
    let packets = probe(&path, "packet=codec_type,pts", COMPLAINT).unwrap();
    let tags: Vec<&String> = packets.iter().filter(|packet| packet.starts_with("data")).collect();
    // 20 frames of 1,152 samples each.
    assert_eq!(tags, ["data,0", "data,35265", "data,47020", "data,82285"]);
    assert_eq!(packets.len(), audio.frames.len() + 4);
}

/// Only the frames and what is decoded of them: ffmpeg's time stamps of short playlists are off, of its own ones too.
#[test]
fn a_playlist_of_any_container_plays_as_the_bare_frames() {
    const COUNT: usize = 10;
    for (name, base) in [(AAC[0], 126_000), (MPEG[1], 126_000), (AAC[0], (1 << 33) - 30_000)] {
        let audio = Audio::of_file(name);
        let packed = audio.cuts(COUNT).into_iter().map(|cut| {
            let pts = base + ticks(&audio, cut.base_samples);
            [&id3_timestamp_tag(pts, &TITLE), cut.data].concat()
        });
        let (packed, extension) = (packed.collect::<Vec<_>>(), audio.format.codec.extension());
        let ts = ts(&audio, base, COUNT, None);
        let mut playlists = vec![
            (playlist(&format!("packed-{base}"), extension, None, &packed, &audio), 0),
            (playlist(&format!("ts-{extension}-{base}"), "ts", None, &ts, &audio), 0),
        ];
        if extension == "aac" {
            let segments = fmp4(&audio, base, COUNT);
            let (init, media) = segments.split_first().unwrap();
            playlists.push((playlist(&format!("fmp4-{base}"), "m4s", Some(init), media, &audio), 7));
        }
        for (path, bytes_less) in playlists {
            let Some(sizes) = probe(&path, "packet=size", "") else { return };
            let expected: Vec<String> =
                audio.frames.iter().map(|frame| (frame.len - bytes_less).to_string()).collect();
            assert_eq!(sizes, expected, "{path}");
            assert_decodes_as(&audio, &path);
        }
    }
}

#[test]
fn a_title_in_a_packed_segment_is_found() {
    let audio = Audio::of_file(MPEG[1]);
    let tag = id3_timestamp_tag(0x1_2345_6789, &[TITLE[0], ("TPE1", "Björk")]);
    let path = file("packed-with-title.mp3", &[tag, audio.data].concat());
    // Of bare frames it says that it has to guess how long they last.
    let entries = ["-v", "error", "-of", "csv=p=0", "-show_entries", "format_tags=title,artist", &path];
    let Some(tags) = run("ffprobe", &entries, "") else { return };
    assert_eq!(tags, "Jóga,Björk\n");
}
