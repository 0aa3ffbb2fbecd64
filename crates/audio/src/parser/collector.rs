//! Frames gathered into batches, and the bitrate that a run of them has.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::header::Header;
use crate::mpeg::InfoFrame;
use crate::{Batch, Format, Frame};

/// Most bytes that are set aside for a batch before they are there.
const ROOM_BYTES_MAX: usize = 64 * 1_024;

/// Frames of one push, until they are given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Collector {
    /// Format of the last frame; its bitrate is 0 if another one was seen before.
    format: Option<Format>,
    data: Vec<u8>,
    frames: Vec<Frame>,
}

impl Collector {
    /// Adds a whole frame; `room_bytes` is about what may still follow in this push.
    pub(super) fn add(&mut self, header: &Header, frame: &[u8], room_bytes: usize, out: &mut Vec<Batch>) {
        let format = self.format_with(header, frame.len());
        if self.format != Some(format) {
            self.flush(out);
            self.format = Some(format);
        }
        if self.frames.is_empty() {
            let room_bytes = room_bytes.min(ROOM_BYTES_MAX);
            self.data.reserve(room_bytes.max(frame.len()));
            self.frames.reserve(room_bytes / frame.len() + 1);
        }
        self.data.extend_from_slice(frame);
        self.frames.push(Frame { len: frame.len() as u32, samples: header.samples() });
    }

    /// Takes note of an info frame: another file begins, and it says what becomes of the bitrate.
    pub(super) fn begin_file(&mut self, header: &Header, info: InfoFrame, out: &mut Vec<Batch>) {
        self.flush(out);
        self.format = match info {
            InfoFrame::ConstantBitrate => None,
            InfoFrame::VariableBitrate => Some(Format { bitrate_kbps: 0, ..header.format() }),
        };
    }

    /// Gives what is gathered.
    pub(super) fn flush(&mut self, out: &mut Vec<Batch>) {
        if let (Some(format), false) = (self.format, self.frames.is_empty()) {
            let data = Bytes::from(std::mem::take(&mut self.data));
            out.push(Batch { format, data, frames: std::mem::take(&mut self.frames) });
        }
    }

    /// The frame's format, given those before: constant until another bitrate comes, varying from then on.
    fn format_with(&self, header: &Header, bytes: usize) -> Format {
        let told = header.format();
        if let Some(free) = header.as_free() {
            let unpadded_bytes = bytes as u32 - free.padding_bytes;
            return Format { bitrate_kbps: free.free_bitrate_kbps(unpadded_bytes), ..told };
        }
        match self.format {
            Some(last) if last.continues_as(&told) && last.bitrate_kbps != told.bitrate_kbps => {
                Format { bitrate_kbps: 0, ..told }
            }
            _ => told,
        }
    }
}
