//! What frames are wrapped in for HTTP Live Streaming. Dates, numbers and who asks for which are the caller's.

mod id3_tag;

pub use id3_tag::{id3_text_tag, id3_timestamp_tag};

/// What is left of a time in a clock of 33 bits, which all time stamps of MPEG-TS and HTTP Live Streaming have.
const PTS_MASK: u64 = (1 << 33) - 1;
