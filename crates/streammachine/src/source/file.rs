//! A file as a source: its frames again and again, at their real pace.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::Duration;

use audio::Parser;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::base::clock::Clock;
use crate::source::pace::Pace;
use crate::source::{self, End, Output};

/// Audio is given this long before its time, so that the pace survives a busy machine.
const LEAD: Duration = Duration::from_millis(500);
/// A file that cannot be read, or holds no audio, is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes read at once: half a second of 128 kbit/s, so that no read runs far ahead.
const READ_BYTES: usize = 8 * 1024;

/// Where a file goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Bytes that were read of it.
    offset: u64,
    parser: Parser,
    /// Frames found since its start.
    frames: u64,
    pace: Pace,
}

impl Place {
    /// At its start, paced by `pace`.
    fn start(pace: Pace) -> Self {
        Place { offset: 0, parser: Parser::new(None), frames: 0, pace }
    }
}

/// Plays the file at `path` until it is stopped: from its start, or from a `place` on.
pub async fn run(path: &Path, place: Option<Place>, clock: Clock, output: Output) {
    let stop = output.source.stop.clone();
    let place = place.unwrap_or_else(|| Place::start(Pace::start(clock.mono())));
    tokio::select! {
        () = stop.cancelled() => {}
        () = play_for_ever(path, place, clock, &output) => {}
    }
    output.ended(End::Stopped).await;
}

async fn play_for_ever(path: &Path, mut place: Place, clock: Clock, output: &Output) {
    loop {
        match play_once(path, &mut place, clock, output).await {
            Ok(Played::Stopped) => return,
            Ok(Played::Frames(1..)) => continue,
            Ok(Played::Frames(0)) => {
                tracing::warn!(file = %path.display(), "the file holds no MP3 or AAC frames")
            }
            Err(error) => tracing::warn!(file = %path.display(), %error, "cannot read the file"),
        }
        tokio::time::sleep(RETRY).await;
        place = Place::start(Pace::start(clock.mono()));
    }
}

enum Played {
    Frames(u64),
    Stopped,
}

/// Plays to the file's end; its start is the place then.
async fn play_once(path: &Path, place: &mut Place, clock: Clock, output: &Output) -> io::Result<Played> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(place.offset)).await?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer).await?;
        let mut batches = Vec::new();
        place.offset += read as u64;
        place.parser.push(&buffer[..read], &mut batches);
        if read == 0 {
            place.parser.finish(&mut batches);
        }
        place.pace.forgive(clock.mono());
        for batch in &batches {
            place.frames += batch.frames.len() as u64;
            place.pace.add(batch);
        }
        let frames = place.frames;
        if read == 0 {
            *place = Place::start(place.pace);
        }
        let next = source::Place::File(place.clone());
        if !output.frames_up_to(next, batches, clock.now().wall).await {
            return Ok(Played::Stopped);
        }
        if read == 0 {
            return Ok(Played::Frames(frames));
        }
        tokio::time::sleep(place.pace.ahead(clock.mono()).saturating_sub(LEAD)).await;
    }
}
