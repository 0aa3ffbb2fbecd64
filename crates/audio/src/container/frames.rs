//! The frames of a segment with their bytes, and the place where they end too early.

use super::{Error, core_format};
use crate::{Format, frames_in};

/// A frame and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameAt<'a> {
    /// Bytes of the segment before it.
    pub(super) at: usize,
    /// All of it, header included; never empty.
    pub(super) bytes: &'a [u8],
    /// Samples per channel.
    pub(super) samples: u32,
}

/// The frames that `data` is made of; the last item is an error if anything else is left.
pub(super) fn frames_at<'a>(
    format: &Format,
    data: &'a [u8],
) -> impl Iterator<Item = Result<FrameAt<'a>, Error>> + use<'a> {
    let mut rest = data;
    let mut frames = frames_in(&core_format(format), data);
    std::iter::from_fn(move || {
        let at = data.len() - rest.len();
        match frames.next().and_then(|frame| Some((frame, rest.split_at_checked(frame.len as usize)?))) {
            Some((frame, (bytes, behind))) => {
                rest = behind;
                Some(Ok(FrameAt { at, bytes, samples: frame.samples }))
            }
            None if rest.is_empty() => None,
            None => {
                rest = &[];
                Some(Err(Error::NotAFrame(at)))
            }
        }
    })
}
