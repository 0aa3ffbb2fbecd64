//! A real decoder takes the numbered frames without complaint, and hears nothing.

use std::io::Write as _;
use std::process::{Command, Stdio};

use testkit::audio::{AdtsFrames, Mp3Frames};
use testkit::programs;

/// Decodes with ffmpeg; gives the samples as 16-bit bytes and its complaints.
fn decode(format: &str, audio: Vec<u8>) -> (Vec<u8>, String) {
    let mut child = Command::new(programs::require("ffmpeg"))
        .args(["-v", "warning", "-f", format, "-i", "pipe:0", "-f", "s16le", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ffmpeg starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let writer = std::thread::spawn(move || stdin.write_all(&audio).expect("ffmpeg reads all"));
    let output = child.wait_with_output().expect("ffmpeg ends");
    writer.join().expect("the writer does not panic");
    (output.stdout, String::from_utf8(output.stderr).expect("complaints are text"))
}

#[track_caller]
fn check(format: &str, audio: Vec<u8>, samples: usize) {
    let (decoded, complaints) = decode(format, audio);
    assert_eq!(complaints, "");
    assert_eq!(decoded.len(), samples * 2, "{format}");
    assert!(decoded.iter().all(|&byte| byte == 0), "{format} is not silent");
}

#[test]
fn mp3_frames_decode_as_silence() {
    for (bitrate_kbps, sample_rate_hz, channels) in [(32, 48_000, 1), (128, 44_100, 2), (320, 32_000, 2)] {
        let frames = Mp3Frames::new(bitrate_kbps, sample_rate_hz, channels);
        check("mp3", frames.bytes(1000..1100), 100 * 1152 * usize::from(channels));
    }
}

#[test]
fn adts_frames_decode_as_silence() {
    for (bitrate_kbps, sample_rate_hz, channels) in [(32, 48_000, 1), (64, 44_100, 2), (320, 44_100, 2)] {
        let frames = AdtsFrames::new(bitrate_kbps, sample_rate_hz, channels);
        check("aac", frames.bytes(1000..1100), 100 * 1024 * usize::from(channels));
    }
}
