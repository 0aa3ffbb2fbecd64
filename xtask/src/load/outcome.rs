//! The numbers of one run, as text and as JSON.

use std::fmt;

use serde_json::{Value, json};
use testkit::proc::Memory;

use super::client::Client;
use crate::stats::percentile;

/// What a run came to. Rates are over the measured span, counts over the whole run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Length of the measured span.
    pub seconds: f64,
    /// Bytes received in it.
    pub bytes: u64,
    /// Processor time of the server in it, if its process is known.
    pub cpu_seconds: Option<f64>,
    /// Memory of the server before the first listener and at the end.
    pub memory: Option<(Memory, Memory)>,
    /// Listeners asked for.
    pub listeners: usize,
    /// Listeners that are still connected and had audio.
    pub live: usize,
    /// Listeners that were refused or cut off.
    pub dropped: usize,
    /// From connect to first audio, in ms, of each that had any.
    pub first_audio_ms: Vec<f64>,
    /// Longest time between two receipts of audio in the measured span, of any listener, in ms.
    pub silence_max_ms: f64,
    /// Audio that a player must hold to hear no pause in the measured span, of any listener, in ms, if the audio is ours.
    pub need_max_ms: f64,
    /// Listeners whose frames were checked.
    pub verified: usize,
    /// Bytes of missing or damaged frames, over all checked listeners.
    pub lost_bytes: u64,
    /// Frames that came twice or out of order, likewise.
    pub repeated_frames: u64,
}

impl Outcome {
    /// The counts of all listeners, without what was measured around them.
    pub fn of(clients: &[Client]) -> Self {
        let reports: Vec<_> = clients.iter().filter_map(Client::report).collect();
        let lost_frames: u64 = reports.iter().map(testkit::audio::Report::lost_frames).sum();
        let frames = super::audio();
        Self {
            listeners: clients.len(),
            live: clients.iter().filter(|client| client.first_audio.is_some() && !client.is_closed()).count(),
            dropped: clients.iter().filter(|client| client.is_closed()).count(),
            first_audio_ms: clients
                .iter()
                .filter_map(|client| client.first_audio)
                .map(|time| time.as_secs_f64() * 1000.0)
                .collect(),
            silence_max_ms: clients.iter().map(|it| it.silence.as_secs_f64() * 1000.0).fold(0.0, f64::max),
            need_max_ms: clients.iter().map(|it| it.need_s() * 1000.0).fold(0.0, f64::max),
            verified: reports.len(),
            // Each damaged frame is also missing, so junk is not added.
            lost_bytes: lost_frames * frames.position(1000) / 1000,
            repeated_frames: reports.iter().map(testkit::audio::Report::repeated_frames).sum(),
            ..Self::default()
        }
    }

    /// Megabytes (10^6) a second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// Processor seconds of the server for each GB (10^9 bytes) it delivered.
    pub fn cpu_seconds_per_gb(&self) -> Option<f64> {
        self.cpu_seconds.filter(|_| self.bytes > 0).map(|seconds| seconds / (self.bytes as f64 / 1e9))
    }

    /// Memory of its own that the server holds more of for each listener.
    pub fn resident_bytes_per_listener(&self) -> Option<f64> {
        let (before, after) = self.memory?;
        Some((after.anonymous_bytes as f64 - before.anonymous_bytes as f64) / self.listeners as f64)
    }

    /// As [`Self::resident_bytes_per_listener`], with the mapped buffer's pages.
    pub fn rss_bytes_per_listener(&self) -> Option<f64> {
        let (before, after) = self.memory?;
        Some((after.rss_bytes as f64 - before.rss_bytes as f64) / self.listeners as f64)
    }

    /// A percentile of the time from connect to first audio, in ms.
    pub fn first_audio_ms(&self, percent: f64) -> Option<f64> {
        percentile(&self.first_audio_ms, percent)
    }

    /// All numbers.
    pub fn to_json(&self) -> Value {
        json!({
            "listeners": self.listeners,
            "live": self.live,
            "dropped": self.dropped,
            "seconds": self.seconds,
            "bytes": self.bytes,
            "megabytes_per_second": self.megabytes_per_second(),
            "cpu_seconds": self.cpu_seconds,
            "cpu_seconds_per_gb": self.cpu_seconds_per_gb(),
            "resident_bytes_per_listener": self.resident_bytes_per_listener(),
            "rss_bytes_per_listener": self.rss_bytes_per_listener(),
            "first_audio_ms": {
                "median": self.first_audio_ms(50.0),
                "p99": self.first_audio_ms(99.0),
                "max": self.first_audio_ms(100.0),
            },
            "silence_max_ms": self.silence_max_ms,
            "verified": self.verified,
            "lost_bytes": self.lost_bytes,
            "repeated_frames": self.repeated_frames,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show =
            |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.2}"));
        let (listeners, live, dropped) = (self.listeners, self.live, self.dropped);
        writeln!(out, "listeners                   {listeners}, {live} live, {dropped} dropped")?;
        writeln!(
            out,
            "MB/s                        {:.1} over {:.1} s",
            self.megabytes_per_second(),
            self.seconds
        )?;
        writeln!(out, "server CPU s/GB             {}", show(self.cpu_seconds_per_gb()))?;
        writeln!(out, "resident bytes/listener     {}", show(self.resident_bytes_per_listener()))?;
        writeln!(out, "  with the mapped buffer    {}", show(self.rss_bytes_per_listener()))?;
        let [median, p99, max] = [50.0, 99.0, 100.0].map(|percent| show(self.first_audio_ms(percent)));
        writeln!(out, "first audio ms              median {median}, p99 {p99}, max {max}")?;
        let (lost, repeated, verified) = (self.lost_bytes, self.repeated_frames, self.verified);
        write!(
            out,
            "bytes lost                  {lost}, {repeated} frames repeated, {verified} listeners checked"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_the_measured_span() {
        let memory =
            |anonymous_bytes| Memory { anonymous_bytes, rss_bytes: 2 * anonymous_bytes, pss_bytes: 0 };
        let outcome = Outcome {
            seconds: 10.0,
            bytes: 2_000_000_000,
            cpu_seconds: Some(3.0),
            listeners: 100,
            memory: Some((memory(1000), memory(51_000))),
            ..Outcome::default()
        };
        assert_eq!(outcome.megabytes_per_second(), 200.0);
        assert_eq!(outcome.cpu_seconds_per_gb(), Some(1.5));
        assert_eq!(outcome.resident_bytes_per_listener(), Some(500.0));
        assert_eq!(outcome.rss_bytes_per_listener(), Some(1000.0));
    }

    #[test]
    fn nothing_delivered_has_no_cost_per_gb() {
        let outcome = Outcome { cpu_seconds: Some(3.0), ..Outcome::default() };
        assert_eq!(outcome.cpu_seconds_per_gb(), None);
        assert_eq!(outcome.to_json()["first_audio_ms"]["median"], Value::Null);
    }
}
