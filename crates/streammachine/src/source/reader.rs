//! A source's connection: bytes in, frames and titles out, with a watch on silence, garbage and haste.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use audio::{Batch, Codec, Mono, Parser};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use wire::icy::Metadata;
use wire::{chunked, icy};

use crate::base::clock::Clock;
use crate::base::pause::Pause;
use crate::source::foreign::{FIRST_BYTES, Foreign};
use crate::source::pace::Pace;
use crate::source::{End, Output};

/// A source whose bytes hold no frame within this time of the first one is no source.
const FRAMES_WITHIN: Duration = Duration::from_secs(3);
/// A source this far ahead of real time is read no faster than real time.
const AHEAD_MAX: Duration = Duration::from_secs(600);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Of titles with less audio between them only the last is taken. Each is kept as long as the audio, and is at most as
/// long as this: they cannot come to more than the audio itself.
const TITLES_APART_BYTES: usize = 4096;

/// How the body of a request or an answer is framed.
#[derive(Debug, Serialize, Deserialize)]
pub enum Body {
    /// Audio up to the end of the connection.
    Identity,
    /// Audio of so many further bytes.
    Length(u64),
    /// HTTP chunks.
    Chunked(chunked::Decoder),
}

/// What a connection carries.
#[derive(Debug)]
pub struct Content {
    /// How it is framed.
    pub body: Body,
    /// Takes the titles out of the audio, where they are in it.
    pub titles: Option<icy::Reader>,
    /// What has come of it already.
    pub first: Bytes,
}

/// What a reader is told about its source.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Cut after so long without a frame.
    pub silence_max: Duration,
    /// What the mount's configuration expects; the bytes decide.
    pub hint: Codec,
}

/// A source's connection, and how far it was read.
#[derive(Debug)]
pub struct Reader<C> {
    connection: C,
    body: Body,
    titles: Option<Titles>,
    framer: Framer,
    buffer: BytesMut,
}

/// How far a connection was read, as plain data: with it and the connection another process reads on.
#[derive(Debug, Deserialize)]
pub struct ReaderState {
    body: Body,
    #[serde(default)]
    titles: Option<Titles>,
    framer: Framer,
    buffer: BytesMut,
}

/// What reading came to.
#[derive(Debug)]
pub enum Ran<C> {
    /// There is no more to be read.
    Ended(End, C),
    /// A pause was asked for: it can be read on, here or in another process.
    Paused(Box<Reader<C>>),
}

impl<C: AsyncRead + Unpin> Reader<C> {
    /// Nothing is read yet.
    pub fn new(connection: C, content: Content, limits: Limits, clock: Clock) -> Self {
        let Content { body, titles, first } = content;
        let (titles, framer) = (titles.map(Titles::new), Framer::new(limits, clock.mono()));
        Reader { connection, body, titles, framer, buffer: BytesMut::from(&first[..]) }
    }

    /// Goes on with what another process has read.
    pub fn resume(connection: C, state: ReaderState, limits: Limits) -> Self {
        let ReaderState { body, titles, framer, buffer } = state;
        Reader { connection, body, titles, framer: Framer { limits, ..framer }, buffer }
    }

    /// How far the connection was read, as a [`ReaderState`].
    pub fn state(&self) -> serde_json::Result<Value> {
        let Reader { body, titles, framer, buffer, .. } = self;
        Ok(json!({"body": body, "titles": titles, "framer": framer, "buffer": buffer}))
    }

    /// The connection.
    pub fn connection(&self) -> &C {
        &self.connection
    }

    /// True if titles are looked for.
    pub fn has_titles(&self) -> bool {
        self.titles.is_some()
    }

    /// True if the body tells its length.
    pub fn ends_itself(&self) -> bool {
        matches!(self.body, Body::Length(_))
    }

    /// Reads on and reports what comes, to the end or to a `pause`.
    pub async fn run(mut self, clock: Clock, output: &Output, mut pause: Pause) -> Ran<C> {
        let Some(end) = self.read_all(clock, output, &mut pause).await else {
            return Ran::Paused(Box::new(self));
        };
        // However it ended: a frame that is whole is kept, although none follows that would prove it.
        output.frames(self.framer.finish(), clock.now().wall).await;
        Ran::Ended(self.framer.foreign().map_or(end, End::Foreign), self.connection)
    }

    /// None if it was paused: all that was read has been parsed then, and what was found is on its way to the mount.
    async fn read_all(&mut self, clock: Clock, output: &Output, pause: &mut Pause) -> Option<End> {
        // Looked at only where nothing is on its way to the mount: frames that were found are never dropped.
        let stop = &output.source.stop;
        loop {
            if let Some(end) = self.take_in(clock, output).await {
                return Some(end);
            }
            let framer = &mut self.framer;
            if let Some(end) = framer.verdict(clock.mono()) {
                return Some(end);
            }
            let haste = framer.pace.ahead(clock.mono()).saturating_sub(AHEAD_MAX);
            if !haste.is_zero() {
                // A hasty source is simply not read for a while; TCP tells it.
                tokio::select! {
                    () = stop.cancelled() => return Some(End::Stopped),
                    () = pause.asked() => return None,
                    () = tokio::time::sleep(haste) => framer.last_frame = clock.mono(),
                }
            }
            self.buffer.reserve(READ_BYTES);
            let patience = framer.patience(clock.mono());
            let read = tokio::select! {
                () = stop.cancelled() => return Some(End::Stopped),
                () = pause.asked() => return None,
                read = tokio::time::timeout(patience, self.connection.read_buf(&mut self.buffer)) => read,
            };
            match read {
                Err(_) => continue,
                Ok(Ok(0)) => return Some(End::Closed),
                Ok(Ok(_)) => framer.bytes_came(clock.mono()),
                Ok(Err(error)) => return Some(End::Broken(kind(&error))),
            }
        }
    }

    /// Takes frames and titles out of what was read, and reports them; the end if it lies in there.
    async fn take_in(&mut self, clock: Clock, output: &Output) -> Option<End> {
        if self.buffer.is_empty() {
            return None;
        }
        let now = clock.now();
        let (bytes, end) = self.body.decode(&self.buffer);
        let (found, garbled) = match &mut self.titles {
            Some(titles) => titles.take_out(&bytes, &mut self.framer, now.mono),
            None => (vec![Found::Frames(self.framer.push(&bytes, now.mono))], None),
        };
        for found in found {
            let is_heard = match found {
                Found::Frames(batches) => output.frames(batches, now.wall).await,
                Found::Title(title) => output.metadata(title).await,
            };
            if !is_heard {
                return Some(End::Stopped);
            }
        }
        drop(bytes);
        self.buffer.clear();
        garbled.or(end)
    }
}

fn kind(error: &io::Error) -> String {
    error.kind().to_string()
}

impl From<wire::source::Body> for Body {
    fn from(body: wire::source::Body) -> Self {
        match body {
            wire::source::Body::Identity => Body::Identity,
            wire::source::Body::Length(length) => Body::Length(length),
            wire::source::Body::Chunked => Body::Chunked(chunked::Decoder::default()),
        }
    }
}

impl Body {
    /// The audio in `input`, and the end of the source if it lies in there.
    pub(super) fn decode<'a>(&mut self, input: &'a [u8]) -> (Cow<'a, [u8]>, Option<End>) {
        match self {
            Body::Identity => (input.into(), None),
            Body::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                (input[..taken].into(), (*left == 0).then_some(End::Closed))
            }
            Body::Chunked(decoder) => {
                let mut audio = Vec::with_capacity(input.len());
                let end = match decoder.decode(input, &mut audio) {
                    Ok(ended) => ended.then_some(End::Closed),
                    Err(error) => Some(End::Broken(error.to_string())),
                };
                (audio.into(), end)
            }
        }
    }
}

/// What was found in some bytes, in order.
enum Found {
    Frames(Vec<Batch>),
    Title(Metadata),
}

/// Takes titles out of the audio.
#[derive(Debug, Serialize, Deserialize)]
struct Titles {
    reader: icy::Reader,
    /// The latest, until it may be told.
    held: Option<Metadata>,
    /// Bytes of audio that must come before.
    wait_bytes: usize,
}

impl Titles {
    fn new(reader: icy::Reader) -> Self {
        Titles { reader, held: None, wait_bytes: 0 }
    }

    /// Frames and titles in `bytes`, and the end of the source if the titles are not where they should be.
    fn take_out(&mut self, bytes: &[u8], framer: &mut Framer, now: Mono) -> (Vec<Found>, Option<End>) {
        let Titles { reader, held, wait_bytes } = self;
        let (mut found, mut end) = (Vec::new(), None);
        reader.read(bytes, |event| {
            match event {
                _ if end.is_some() => return,
                icy::Event::Audio(audio) => {
                    *wait_bytes = wait_bytes.saturating_sub(audio.len());
                    let batches = framer.push(audio, now);
                    if !batches.is_empty() {
                        found.push(Found::Frames(batches));
                    }
                }
                icy::Event::Metadata(title) => *held = Some(title),
                icy::Event::Garbage => end = Some(End::Garbled),
            }
            if *wait_bytes == 0
                && let Some(title) = held.take()
            {
                *wait_bytes = TITLES_APART_BYTES;
                found.push(Found::Title(title));
            }
        });
        (found, end)
    }
}

/// The parser with the times by which a source is judged.
#[derive(Debug, Serialize, Deserialize)]
struct Framer {
    parser: Parser,
    limits: Limits,
    pace: Pace,
    first_byte: Option<Mono>,
    first_bytes: Vec<u8>,
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
            first_bytes: Vec::with_capacity(FIRST_BYTES),
            last_frame: now,
            framed: false,
        }
    }

    fn bytes_came(&mut self, now: Mono) {
        self.first_byte.get_or_insert(now);
    }

    fn push(&mut self, audio: &[u8], now: Mono) -> Vec<Batch> {
        self.bytes_came(now);
        self.first_bytes.extend(audio.iter().take(FIRST_BYTES - self.first_bytes.len()));
        let mut batches = Vec::new();
        self.parser.push(audio, &mut batches);
        self.count(&batches, now);
        batches
    }

    /// The frames that nothing will follow.
    fn finish(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        self.parser.finish(&mut batches);
        self.framed |= !batches.is_empty();
        batches
    }

    /// What came, if no frame did and it is known by its first bytes.
    fn foreign(&self) -> Option<Foreign> {
        if self.framed { None } else { Foreign::of_bytes(&self.first_bytes) }
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
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use audio::Time;
    use testkit::audio::Mp3Frames;
    use tokio::io::ReadBuf;

    use super::*;
    use crate::base::pause::Pauser;
    use crate::source::{Origin, Report, Source};

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

    /// What arrives at the mount from a source that gives `bytes` and then what `rest` does.
    async fn read(bytes: &[u8], rest: impl AsyncRead + Unpin, body: Body) -> (Vec<u8>, End) {
        let (reports, mut inbox) = tokio::sync::mpsc::channel(100);
        let source = Source::new(Origin::Programme, Time(0));
        let stop = source.stop.clone();
        let limits = Limits { silence_max: 30 * S, hint: Codec::Mp3 };
        let (connection, output) = (bytes.chain(rest), Output::new(source, reports));
        let run = async {
            let content = Content { body, titles: None, first: Bytes::new() };
            let (clock, pauser) = (Clock::start(), Pauser::default());
            let reader = Reader::new(connection, content, limits, clock);
            let Ran::Ended(end, _) = reader.run(clock, &output, pauser.pause()).await else {
                panic!("no pause was asked for")
            };
            output.ended(end.clone()).await;
            end
        };
        let mut audio = Vec::new();
        let hear = async {
            while let Some((_, report)) = inbox.recv().await {
                match report {
                    Report::Frames(batches, _) => batches.iter().for_each(|batch| audio.extend(&batch.data)),
                    Report::Ended(_) => return,
                    other => panic!("an encoder's audio tells nothing else: {other:?}"),
                }
                stop.cancel();
            }
        };
        let end = tokio::join!(run, hear).0;
        (audio, end)
    }

    /// A connection that breaks.
    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    #[tokio::test]
    async fn the_last_whole_frame_is_kept_however_the_source_ends() {
        let frames = Mp3Frames::new(64, 44_100, 2);
        let bytes = [frames.bytes(0..20), frames.frame(20)[..50].to_vec()].concat();
        let whole = frames.bytes(0..20);
        let (silent, _other_end) = tokio::io::duplex(1);
        assert_eq!(read(&bytes[..whole.len()], silent, Body::Identity).await, (whole.clone(), End::Stopped));
        let end = read(&whole, tokio::io::empty(), Body::Identity).await;
        assert_eq!(end, (whole.clone(), End::Closed));
        let (audio, end) = read(&whole, Broken, Body::Identity).await;
        assert_eq!((audio, matches!(end, End::Broken(_))), (whole.clone(), true));
        let (audio, end) = read(&bytes, Broken, Body::Identity).await;
        assert_eq!((audio, matches!(end, End::Broken(_))), (whole.clone(), true));
        let chunk = [format!("{:x}\r\n", whole.len()).as_bytes(), &whole, b"\r\nno number\r\n"].concat();
        let (audio, end) = read(&chunk, tokio::io::empty(), Body::Chunked(chunked::Decoder::default())).await;
        assert_eq!((audio, matches!(end, End::Broken(_))), (whole, true));
    }

    /// What is found in `bytes`: `audio` for frames, else the title.
    fn take_out(titles: &mut Titles, framer: &mut Framer, bytes: &[u8]) -> (Vec<String>, Option<End>) {
        let (found, end) = titles.take_out(bytes, framer, Mono(0));
        let name = |found| match found {
            Found::Frames(_) => "audio".to_owned(),
            Found::Title(title) => title.title,
        };
        (found.into_iter().map(name).collect(), end)
    }

    #[test]
    fn titles_are_told_where_they_are_in_the_audio_and_not_too_close() {
        let (mut framer, mut titles) = (framer(), Titles::new(icy::Reader::new(1_000)));
        let audio = Mp3Frames::new(64, 44_100, 2).bytes(0..40);
        let mut runs = audio.chunks_exact(1_000);
        let mut run = |title: &str| {
            let metadata = Metadata { title: title.to_owned(), url: String::new() };
            [runs.next().unwrap(), &icy::encode_block(&metadata)].concat()
        };
        let mut hear = |bytes: &[u8]| take_out(&mut titles, &mut framer, bytes);
        let all = |names: &[&str]| (names.iter().map(ToString::to_string).collect::<Vec<_>>(), None);
        assert_eq!(hear(&[run("A"), run("B"), run("C")].concat()), all(&["audio", "A", "audio", "audio"]));
        assert_eq!(hear(&[run("C"), run("C")].concat()), all(&["audio", "audio"]));
        // The last of those that came too soon is told once there is enough audio.
        assert_eq!(hear(&run("D")), all(&["audio", "C"]));
    }

    #[test]
    fn what_is_no_title_where_one_should_be_ends_the_source() {
        let (mut framer, mut titles) = (framer(), Titles::new(icy::Reader::new(1_000)));
        let audio = Mp3Frames::new(64, 44_100, 2).bytes(0..40);
        let bytes = [&audio[..1_000], b"\x01no field is here!", &audio[1_000..]].concat();
        let (found, end) = take_out(&mut titles, &mut framer, &bytes);
        assert_eq!((found, end), (vec!["audio".to_owned()], Some(End::Garbled)));
    }

    #[tokio::test]
    async fn what_is_not_framed_is_named_at_the_end_unless_frames_came() {
        let name = "Ogg is not accepted yet: set the encoder to MP3 or AAC";
        let end = async |bytes: Vec<u8>| read(&bytes, tokio::io::empty(), Body::Identity).await.1.to_string();
        assert_eq!(end(b"OggS".to_vec()).await, name);
        assert_eq!(end([b"OggS", &[0x55; 5_000][..]].concat()).await, name);
        assert_eq!(end(b"Ogg".to_vec()).await, End::Closed.to_string());
        let frames = Mp3Frames::new(64, 44_100, 2).bytes(0..20);
        assert_eq!(end([b"OggS", &frames[..]].concat()).await, End::Closed.to_string());
    }

    #[tokio::test]
    async fn a_body_of_a_length_ends_after_so_many_bytes() {
        let frames = Mp3Frames::new(64, 44_100, 2);
        let whole = frames.bytes(0..20);
        let (open, _other_end) = tokio::io::duplex(1);
        let length = Body::Length(whole.len() as u64);
        assert_eq!(read(&frames.bytes(0..30), open, length).await, (whole, End::Closed));
    }
}
