//! Free format: no header tells a frame's length, so it is the distance to the next header that fits.

use serde::{Deserialize, Serialize};

use super::header::{Header, Mark, Stream};
use super::view::View;
use crate::{Found, mpeg};

/// Headers that prove a distance: the first, the one it leads to, and the one behind that.
const PROOF_HEADERS: usize = 3;
/// Bytes after the place of a failed search in which no other begins: an eighth of what it looked through, so that
/// headers laid out as bait cost eight looks a byte and no more.
const PAUSE_BYTES: u64 = mpeg::FREE_FRAME_BYTES_MAX as u64 / 8;

/// The search for the length of a free-format frame. It goes on where it stopped for want of bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FreeSearch {
    /// Position of the frame in question, and the least distance that is not ruled out.
    candidate: Option<(u64, u32)>,
    /// Position before which no search begins.
    paused_until: u64,
}

impl FreeSearch {
    /// The stream of the frame that `header` begins at `at`, with the least length that is proven.
    pub(super) fn find(&mut self, view: &View<'_>, at: usize, header: &mpeg::Header) -> Found<Stream> {
        let position = view.position + at as u64;
        if position < self.paused_until {
            return Found::No;
        }
        let mut distance = match self.candidate {
            Some((candidate, distance)) if candidate == position => distance,
            _ => mpeg::FREE_FRAME_BYTES_MIN,
        };
        while distance <= mpeg::FREE_FRAME_BYTES_MAX {
            match prove_distance(view, at, header, distance) {
                Found::Yes(stream) => return Found::Yes(stream),
                Found::No => distance = next_distance(view.bytes, at, distance),
                Found::More => {
                    self.candidate = Some((position, distance));
                    return Found::More;
                }
            }
        }
        self.paused_until = position + PAUSE_BYTES;
        Found::No
    }
}

fn prove_distance(view: &View<'_>, at: usize, header: &mpeg::Header, distance: u32) -> Found<Stream> {
    let next = at + distance as usize;
    let Some(unpadded_bytes) = header.free_unpadded_bytes(distance) else {
        return Found::No;
    };
    // Most places show no header at all, and one look tells.
    match view.look(next) {
        Found::Yes(Mark::Header(Header::Mpeg(_))) => {
            view.proves(next, &Stream::free(header, unpadded_bytes), PROOF_HEADERS - 1)
        }
        Found::More if !view.ended => Found::More,
        _ => Found::No,
    }
}

/// The distance from `at` to the first 0xFF beyond `distance`, or to the end of `bytes`.
fn next_distance(bytes: &[u8], at: usize, distance: u32) -> u32 {
    let from = at + distance as usize + 1;
    let skipped = bytes.get(from..).map_or(0, |rest| memchr::memchr(0xFF, rest).unwrap_or(rest.len()));
    distance + 1 + u32::try_from(skipped).unwrap_or(mpeg::FREE_FRAME_BYTES_MAX)
}
