//! A file as a source: its frames again and again, at their real pace.

use std::io;
use std::path::Path;
use std::time::Duration;

use audio::Parser;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::base::clock::Clock;
use crate::source::pace::Pace;
use crate::source::{End, Output};

/// Audio is given this long before its time, so that the pace survives a busy machine.
const LEAD: Duration = Duration::from_millis(500);
/// A file that cannot be read, or holds no audio, is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes read at once: half a second of 128 kbit/s, so that no read runs far ahead.
const READ_BYTES: usize = 8 * 1024;

/// Plays the file at `path` until it is stopped.
pub async fn run(path: &Path, clock: Clock, output: Output) {
    let stop = output.source.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = play_for_ever(path, clock, &output) => {}
    }
    output.ended(End::Stopped).await;
}

async fn play_for_ever(path: &Path, clock: Clock, output: &Output) {
    let mut pace = Pace::start(clock.mono());
    loop {
        match play_once(path, clock, output, &mut pace).await {
            Ok(Played::Stopped) => return,
            Ok(Played::Frames(1..)) => continue,
            Ok(Played::Frames(0)) => {
                tracing::warn!(file = %path.display(), "the file holds no MP3 or AAC frames")
            }
            Err(error) => tracing::warn!(file = %path.display(), %error, "cannot read the file"),
        }
        tokio::time::sleep(RETRY).await;
        pace = Pace::start(clock.mono());
    }
}

enum Played {
    Frames(u64),
    Stopped,
}

async fn play_once(path: &Path, clock: Clock, output: &Output, pace: &mut Pace) -> io::Result<Played> {
    let mut file = File::open(path).await?;
    let mut parser = Parser::new(None);
    let mut buffer = vec![0; READ_BYTES];
    let mut frames = 0;
    loop {
        let read = file.read(&mut buffer).await?;
        let mut batches = Vec::new();
        parser.push(&buffer[..read], &mut batches);
        if read == 0 {
            parser.finish(&mut batches);
        }
        pace.forgive(clock.mono());
        for batch in &batches {
            frames += batch.frames.len() as u64;
            pace.add(batch);
        }
        if !output.frames(batches, clock.now().wall).await {
            return Ok(Played::Stopped);
        }
        if read == 0 {
            return Ok(Played::Frames(frames));
        }
        tokio::time::sleep(pace.ahead(clock.mono()).saturating_sub(LEAD)).await;
    }
}
