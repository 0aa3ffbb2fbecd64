//! An encoder's connection: bytes in, frames out, with a watch on silence, garbage and haste.

use std::io;
use std::time::Duration;

use audio::{Batch, Codec, Mono, Parser};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use wire::chunked;

use crate::base::clock::Clock;
use crate::source::pace::Pace;
use crate::source::{End, Output};

/// A source whose bytes hold no frame within this time of the first one is no source.
const FRAMES_WITHIN: Duration = Duration::from_secs(3);
/// A source this far ahead of real time is read no faster than real time.
const AHEAD_MAX: Duration = Duration::from_secs(600);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// How the body of a source request is framed.
#[derive(Debug)]
pub enum Body {
    /// Audio up to the end of the connection.
    Identity,
    /// HTTP chunks.
    Chunked(chunked::Decoder),
}

/// What a reader is told about its source.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Cut after so long without a frame.
    pub silence_max: Duration,
    /// What the mount's configuration expects; the bytes decide.
    pub hint: Codec,
}

/// Reads `connection` to its end and reports what it gave. `first` are the bytes that came with the request head.
pub async fn run(
    mut connection: impl AsyncRead + Unpin,
    mut body: Body,
    first: Bytes,
    limits: Limits,
    clock: Clock,
    output: Output,
) {
    let stop = output.source.stop.clone();
    let end = tokio::select! {
        () = stop.cancelled() => End::Stopped,
        end = read_all(&mut connection, &mut body, first, limits, clock, &output) => end,
    };
    output.ended(end).await;
}

async fn read_all(
    connection: &mut (impl AsyncRead + Unpin),
    body: &mut Body,
    first: Bytes,
    limits: Limits,
    clock: Clock,
    output: &Output,
) -> End {
    let mut framer = Framer::new(limits, clock.mono());
    let mut buffer = BytesMut::from(&first[..]);
    loop {
        if !buffer.is_empty() {
            let now = clock.now();
            let (batches, ended) = match body.decode(&buffer) {
                Ok(Decoded::Audio(audio)) => (framer.push(audio, now.mono), false),
                Ok(Decoded::Last(audio)) => (framer.last(&audio, now.mono), true),
                Ok(Decoded::Owned(audio)) => (framer.push(&audio, now.mono), false),
                Err(error) => return End::Broken(error.to_string()),
            };
            if !output.frames(batches, now.wall).await {
                return End::Stopped;
            }
            if ended {
                return End::Closed;
            }
            buffer.clear();
        }
        if let Some(end) = framer.verdict(clock.mono()) {
            return end;
        }
        let haste = framer.pace.ahead(clock.mono()).saturating_sub(AHEAD_MAX);
        if !haste.is_zero() {
            // A hasty source is simply not read for a while; TCP tells it.
            tokio::time::sleep(haste).await;
            framer.last_frame = clock.mono();
        }
        buffer.reserve(READ_BYTES);
        let patience = framer.patience(clock.mono());
        match tokio::time::timeout(patience, connection.read_buf(&mut buffer)).await {
            Err(_) => continue,
            Ok(Ok(0)) => {
                let batches = framer.last(&[], clock.mono());
                output.frames(batches, clock.now().wall).await;
                return End::Closed;
            }
            Ok(Ok(_)) => framer.bytes_came(clock.mono()),
            Ok(Err(error)) => return End::Broken(kind(&error)),
        }
    }
}

fn kind(error: &io::Error) -> String {
    error.kind().to_string()
}

enum Decoded<'a> {
    Audio(&'a [u8]),
    Owned(Vec<u8>),
    Last(Vec<u8>),
}

impl Body {
    fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<'a>, chunked::ChunkedError> {
        match self {
            Body::Identity => Ok(Decoded::Audio(input)),
            Body::Chunked(decoder) => {
                let mut audio = Vec::with_capacity(input.len());
                let ended = decoder.decode(input, &mut audio)?;
                Ok(if ended { Decoded::Last(audio) } else { Decoded::Owned(audio) })
            }
        }
    }
}

/// The parser with the times by which a source is judged.
struct Framer {
    parser: Parser,
    limits: Limits,
    pace: Pace,
    first_byte: Option<Mono>,
    last_frame: Mono,
    framed: bool,
}

impl Framer {
    fn new(limits: Limits, now: Mono) -> Self {
        Framer {
            parser: Parser::new(Some(limits.hint)),
            limits,
            pace: Pace::start(now),
            first_byte: None,
            last_frame: now,
            framed: false,
        }
    }

    fn bytes_came(&mut self, now: Mono) {
        self.first_byte.get_or_insert(now);
    }

    fn push(&mut self, audio: &[u8], now: Mono) -> Vec<Batch> {
        self.bytes_came(now);
        let mut batches = Vec::new();
        self.parser.push(audio, &mut batches);
        self.count(&batches, now);
        batches
    }

    fn last(&mut self, audio: &[u8], now: Mono) -> Vec<Batch> {
        let mut batches = self.push(audio, now);
        self.parser.finish(&mut batches);
        batches
    }

    fn count(&mut self, batches: &[Batch], now: Mono) {
        if batches.is_empty() {
            return;
        }
        self.framed = true;
        self.last_frame = now;
        self.pace.forgive(now);
        batches.iter().for_each(|batch| self.pace.add(batch));
    }

    /// When the source must have shown a frame, and what it is called if it has not.
    fn deadline(&self) -> (Mono, End) {
        let silent = (self.last_frame.plus(self.limits.silence_max), End::Silent(self.limits.silence_max));
        match self.first_byte {
            Some(first) if !self.framed => {
                let garbage = (first.plus(FRAMES_WITHIN), End::NoAudio(FRAMES_WITHIN));
                if garbage.0 < silent.0 { garbage } else { silent }
            }
            _ => silent,
        }
    }

    fn verdict(&self, now: Mono) -> Option<End> {
        let (deadline, end) = self.deadline();
        (now >= deadline).then_some(end)
    }

    fn patience(&self, now: Mono) -> Duration {
        self.deadline().0.since(now).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn framer() -> Framer {
        Framer::new(Limits { silence_max: 30 * S, hint: Codec::Mp3 }, Mono(0))
    }

    #[test]
    fn a_silent_source_is_given_the_whole_time() {
        let framer = framer();
        assert_eq!(framer.patience(Mono(0)), 30 * S);
        assert_eq!(framer.verdict(Mono(0).plus(29 * S)), None);
        assert_eq!(framer.verdict(Mono(0).plus(30 * S)), Some(End::Silent(30 * S)));
    }

    #[test]
    fn garbage_is_judged_from_its_first_byte() {
        let mut framer = framer();
        let at = Mono(0).plus(20 * S);
        assert!(framer.push(&[0x55; 1000], at).is_empty());
        assert_eq!(framer.verdict(at.plus(2 * S)), None);
        assert_eq!(framer.verdict(at.plus(3 * S)), Some(End::NoAudio(FRAMES_WITHIN)));
    }

    #[test]
    fn garbage_does_not_count_as_audio_later_on() {
        let mut framer = framer();
        framer.framed = true;
        framer.push(&[0x55; 1000], Mono(0).plus(29 * S));
        assert_eq!(framer.verdict(Mono(0).plus(30 * S)), Some(End::Silent(30 * S)));
    }
}
