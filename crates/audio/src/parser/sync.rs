//! Where frames begin: the search for a stream, and holding on to it. Decisions only; the bytes are the parser's.
//!
//! A frame is given when a header that fits stands at its end: the same codec, layer, sample rate and channels. That
//! holds a frame back until the next one begins, some 26 ms, and never gives a frame that was cut. The end of the
//! input and a tag are as good as a header. Frames of another format are as good if they prove themselves as a new
//! stream does, so that nothing is lost where two streams are spliced.
//!
//! How many headers in a row prove a stream: random bytes look like a header once in some thousand places, and each
//! further header that fits is rarer by about 2^-17.

use serde::{Deserialize, Serialize};

use super::free::FreeSearch;
use super::header::{Header, Mark, Stream, next_mark};
use super::view::View;
use crate::{Codec, Found};

/// Headers that prove a stream that was there before.
const KNOWN_HEADERS: usize = 2;
/// Headers that prove a new stream.
const NEW_HEADERS: usize = 3;
/// Headers that prove a new stream of another codec than announced.
const UNANNOUNCED_HEADERS: usize = 4;
/// Headers that prove a stream within what a tag claims to be its own: four frames and the next.
const IN_TAG_HEADERS: usize = 5;

/// What to do with the bytes at hand.
pub(super) enum Step {
    /// The first `bytes` are a frame.
    Frame { header: Header, bytes: usize },
    /// The first this many are no frame; at least one.
    Skip(usize),
    /// Nothing can be decided without more of them.
    More,
}

/// The search for a stream of frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sync {
    announced: Option<Codec>,
    state: State,
    /// The last stream there was.
    known: Option<Stream>,
    /// True from the loss of a stream until one is found.
    is_lost: bool,
    free_search: FreeSearch,
    /// Times that a stream was found after one was lost.
    pub(super) resyncs: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum State {
    /// Any byte may begin a frame or a tag.
    Searching,
    /// The next byte lies within a tag; this many are left by its claim.
    InTag { left_bytes: u64 },
    /// The next byte begins a frame of this stream, or a tag.
    Locked(Stream),
}

impl Sync {
    pub(super) fn new(announced: Option<Codec>) -> Sync {
        Sync {
            announced,
            state: State::Searching,
            known: None,
            is_lost: false,
            free_search: FreeSearch::default(),
            resyncs: 0,
        }
    }

    /// Decides on the first bytes of `view`; they must be taken away before the next step.
    pub(super) fn step(&mut self, view: &View<'_>) -> Step {
        if view.bytes.is_empty() {
            return Step::More;
        }
        match self.state {
            State::Searching => self.search(view),
            State::InTag { left_bytes: 0 } => {
                self.state = State::Searching;
                self.search(view)
            }
            State::InTag { left_bytes } => self.pass_tag(view, left_bytes),
            State::Locked(stream) => self.next_frame(view, &stream),
        }
    }

    fn search(&mut self, view: &View<'_>) -> Step {
        match view.look(0) {
            Found::Yes(Mark::Tag(bytes)) => self.pass_tag(view, bytes),
            Found::Yes(Mark::Header(header)) => match self.find_stream(view, 0, &header) {
                Found::Yes(stream) => {
                    self.lock(stream);
                    self.next_frame(view, &stream)
                }
                Found::No => Step::Skip(next_mark(view.bytes)),
                Found::More => Step::More,
            },
            Found::No => Step::Skip(next_mark(view.bytes)),
            Found::More => Step::More,
        }
    }

    /// Skips bytes of a tag, unless a run of frames in it shows that its claim is a lie.
    fn pass_tag(&mut self, view: &View<'_>, left_bytes: u64) -> Step {
        let stream = match view.look(0) {
            // The length of a free-format frame is a guess of its own: too weak against a tag's claim.
            Found::Yes(Mark::Header(header)) if header.as_free().is_none() => {
                view.proves(0, &Stream::told(&header), IN_TAG_HEADERS)
            }
            Found::More => Found::More,
            _ => Found::No,
        };
        match stream {
            Found::Yes(stream) => {
                self.lock(stream);
                self.next_frame(view, &stream)
            }
            Found::No => {
                let bytes = (next_mark(view.bytes) as u64).min(left_bytes);
                self.state = State::InTag { left_bytes: left_bytes - bytes };
                Step::Skip(bytes as usize)
            }
            Found::More => {
                self.state = State::InTag { left_bytes };
                Step::More
            }
        }
    }

    fn next_frame(&mut self, view: &View<'_>, stream: &Stream) -> Step {
        match view.look(0) {
            Found::Yes(Mark::Header(header)) => match stream.frame_bytes(&header) {
                Some(bytes) => self.judge_frame(view, stream, header, bytes),
                None => self.lose(),
            },
            Found::Yes(Mark::Tag(bytes)) => self.pass_tag(view, bytes),
            Found::No => self.lose(),
            Found::More => Step::More,
        }
    }

    /// The frame of `bytes` is one if what follows agrees.
    fn judge_frame(&mut self, view: &View<'_>, stream: &Stream, header: Header, bytes: usize) -> Step {
        match view.proves(bytes, stream, 1) {
            Found::Yes(_) => return Step::Frame { header, bytes },
            Found::More => return Step::More,
            Found::No => {}
        }
        let Found::Yes(Mark::Header(next)) = view.look(bytes) else {
            return self.lose();
        };
        match self.find_stream(view, bytes, &next) {
            Found::Yes(spliced) => {
                self.lock(spliced);
                Step::Frame { header, bytes }
            }
            Found::No => self.lose(),
            Found::More => Step::More,
        }
    }

    /// The stream that begins with `header` at `at`, if enough of it is there to prove it.
    fn find_stream(&mut self, view: &View<'_>, at: usize, header: &Header) -> Found<Stream> {
        if let Some(known) = self.known {
            match view.proves(at, &known, KNOWN_HEADERS) {
                Found::No => {}
                found => return found,
            }
        }
        if let Some(free) = header.as_free() {
            return self.free_search.find(view, at, free);
        }
        let headers = match self.announced {
            Some(codec) if codec != header.format().codec => UNANNOUNCED_HEADERS,
            _ => NEW_HEADERS,
        };
        view.proves(at, &Stream::told(header), headers)
    }

    fn lock(&mut self, stream: Stream) {
        self.resyncs += u64::from(self.is_lost);
        self.is_lost = false;
        self.known = Some(stream);
        self.state = State::Locked(stream);
    }

    /// The first byte begins no frame after all.
    fn lose(&mut self) -> Step {
        self.is_lost = true;
        self.state = State::Searching;
        Step::Skip(1)
    }
}
