//! A player of HTTP Live Streaming that polls the playlist and fetches each segment, and remembers all: what was told once
//! must be told again, before a crash and after.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::super::fetch::Connection;
use super::Faults;
use super::playlist::{Entry, Playlist};
use crate::load;

const PLAYLIST: &str = "/bench.m3u8";
/// Between two looks at the playlist.
const PERIOD: Duration = Duration::from_millis(200);
/// Before it connects again.
const PAUSE: Duration = Duration::from_millis(20);
/// Dates are told in milliseconds.
const ROUNDING_US: i64 = 1_500;

/// What the player knows.
#[derive(Default)]
pub struct Player {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    last: Option<Playlist>,
    segments: BTreeMap<u64, Segment>,
}

/// A segment that was fetched.
#[derive(Clone)]
struct Segment {
    entry: Entry,
    body: Arc<Vec<u8>>,
    frames: Range<u32>,
}

/// What all segments come to.
#[derive(Debug, Default)]
pub struct Sum {
    /// Segments.
    pub segments: usize,
    /// Those that do not continue the one before; the first of all counts.
    pub discontinuities: usize,
    /// Their frames, joined where they follow each other.
    pub runs: Vec<Range<u32>>,
}

impl Player {
    /// Plays until it is over.
    pub fn run(&self, address: SocketAddr, is_over: &AtomicBool, faults: &Faults) {
        while !is_over.load(Ordering::Relaxed) {
            if let Ok(mut connection) = Connection::open(address) {
                // It ends when the server is gone, which is what it is for.
                while !is_over.load(Ordering::Relaxed) && self.look(&mut connection, faults).is_ok() {
                    thread::sleep(PERIOD);
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// One look at the playlist, and at what is new in it.
    fn look(&self, connection: &mut Connection, faults: &Faults) -> std::io::Result<()> {
        let (status, body) = connection.get(PLAYLIST)?;
        let text = String::from_utf8_lossy(body).into_owned();
        if status == 404 && self.known().last.is_none() {
            // Before the first audio there is none.
            return Ok(());
        }
        let playlist = match Playlist::parse(&text) {
            Ok(playlist) if status == 200 => playlist,
            Ok(_) => {
                faults.tell(format!("a playlist with status {status}"));
                return Ok(());
            }
            Err(error) => {
                faults.tell(format!("a playlist that is none: {status}, {error:#}: {text}"));
                return Ok(());
            }
        };
        self.known().check(&playlist, faults);
        let is_new = |entry: &&Entry| !self.known().segments.contains_key(&entry.number);
        let new: Vec<Entry> = playlist.entries.iter().filter(is_new).cloned().collect();
        self.known().last = Some(playlist);
        for entry in new {
            let (status, body) = connection.get(&entry.target)?;
            if let Some(frames) = frames_of(&entry, status, body, faults) {
                let body = Arc::new(body.to_vec());
                self.known().segments.insert(entry.number, Segment { entry, body, frames });
            }
        }
        Ok(())
    }

    /// Fetches again all that was fetched before; how many.
    pub fn check_again(&self, address: SocketAddr, faults: &Faults) -> anyhow::Result<usize> {
        let segments: Vec<Segment> = self.known().segments.values().cloned().collect();
        let mut connection = Connection::open(address)?;
        for segment in &segments {
            let (status, body) = connection.get(&segment.entry.target)?;
            if status != 200 || body != segment.body.as_slice() {
                let (bytes, before) = (body.len(), segment.body.len());
                let target = &segment.entry.target;
                faults.tell(format!("{target} is another: {status}, {bytes} bytes, before {before}"));
            }
        }
        Ok(segments.len())
    }

    /// Checks that discontinuities are where frames are missing, and nowhere else; all segments.
    pub fn sum(&self, faults: &Faults) -> Sum {
        let mut sum = Sum::default();
        for segment in self.known().segments.values() {
            let follows = sum.runs.last().is_some_and(|run| run.end == segment.frames.start);
            if follows == segment.entry.discontinuity {
                let before = sum.runs.last();
                let Segment { entry, frames, .. } = segment;
                faults.tell(format!(
                    "{entry:?} with frames {frames:?} behind {before:?}: a wrong discontinuity"
                ));
            }
            sum.segments += 1;
            sum.discontinuities += usize::from(segment.entry.discontinuity);
            match sum.runs.last_mut().filter(|_| follows) {
                Some(run) => run.end = segment.frames.end,
                None => sum.runs.push(segment.frames.clone()),
            }
        }
        sum
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Compares a playlist with what was told before, and its segments with each other.
    fn check(&self, playlist: &Playlist, faults: &Faults) {
        for entry in &playlist.entries {
            if !entry.target.contains(&entry.number.to_string()) {
                faults.tell(format!("a segment is not at its place: {entry:?}"));
            }
            if let Some(segment) = self.segments.get(&entry.number).filter(|it| it.entry != *entry) {
                faults.tell(format!("a segment is told otherwise: {entry:?}, before {:?}", segment.entry));
            }
        }
        for pair in playlist.entries.windows(2) {
            let gap_us = pair[1].date_us - pair[0].end_us();
            if gap_us < -ROUNDING_US || (gap_us > ROUNDING_US && !pair[1].discontinuity) {
                faults.tell(format!("dates do not meet by {gap_us} us: {pair:?}"));
            }
        }
        let Some(last) = &self.last else { return };
        let end = |playlist: &Playlist| playlist.sequence + playlist.entries.len() as u64;
        // All of the buffer is listed, and nothing of it is old enough to go.
        let starts = |playlist: &Playlist| (playlist.sequence, playlist.discontinuity_sequence);
        if starts(playlist) != starts(last) || end(playlist) < end(last) {
            faults.tell(format!(
                "the playlist goes back: {:?} to {}, before {:?} to {}",
                starts(playlist),
                end(playlist),
                starts(last),
                end(last)
            ));
        }
    }
}

/// The frames of a segment, which are whole and in a row.
fn frames_of(entry: &Entry, status: u16, body: &[u8], faults: &Faults) -> Option<Range<u32>> {
    let audio = &body[tag_bytes(body).min(body.len())..];
    let report = load::audio().scan(audio);
    let is_good = status == 200 && report.is_whole() && report.is_continuous();
    let frames = report.first.zip(report.last).filter(|_| is_good).map(|(first, last)| first..last + 1);
    if frames.is_none() {
        faults.tell(format!("{}: {status}, {report:?}", entry.target));
    }
    frames
}

/// Bytes of the ID3 tag with the time stamp (ID3v2.4, section 3.1).
fn tag_bytes(body: &[u8]) -> usize {
    const HEAD_BYTES: usize = 10;
    match body.get(..HEAD_BYTES) {
        Some(head) if head.starts_with(b"ID3") => {
            HEAD_BYTES + head[6..].iter().fold(0, |size, &byte| size << 7 | usize::from(byte))
        }
        _ => 0,
    }
}
