//! The index of a block: its records on disk, byte for byte (docs/ref/block-index.md), and its entries in memory. Which
//! records to believe is decided in `recover.rs`.

use audio::{Codec, Format, Time};
use wire::icy::Metadata;

use crate::{
    Position, SegmentSeq,
    segments::{Numbers, Step},
};

/// First bytes of every index file.
const MAGIC: &[u8; 4] = b"SMix";
/// Version of the layout; a file of another version is left alone.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a header before the key.
const HEADER_FIXED_BYTES: usize = 56;
/// Bytes of a chunk record, CRC included.
pub(crate) const CHUNK_RECORD_BYTES: usize = 32;
/// Bytes of a metadata record before its texts.
const METADATA_FIXED_BYTES: usize = 16;
/// Bytes of each CRC-32 (IEEE 802.3).
const CRC_BYTES: usize = 4;
/// Title and URL are cut to this many bytes on disk: what an ICY block can say at most.
const TEXT_BYTES_MAX: usize = 4_080;

const KIND_CHUNK: u8 = 1;
const KIND_METADATA: u8 = 2;

const STARTS_SEGMENT: u8 = 1;
const DISCONTINUITY: u8 = 2;

/// What is true of a whole block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Position of its first byte.
    pub position: Position,
    /// Format of all its frames.
    pub format: Format,
    /// Numbers of its first chunk.
    pub numbers: Numbers,
}

/// What the index tells about one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRecord {
    pub time: Time,
    pub len: u32,
    pub span_us: u32,
    pub samples: u32,
    pub starts_segment: bool,
    pub discontinuity: bool,
    pub audio_crc: u32,
}

/// One record of an index, in the order of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The next chunk of the block.
    Chunk(ChunkRecord),
    /// Metadata in force from the next chunk on, and when it was set.
    Metadata(Metadata, Time),
}

/// A chunk in memory; its length is the distance to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub time: Time,
    /// Bytes from the block's start.
    pub offset: u32,
    pub span_us: u32,
    pub samples: u32,
    flags: u8,
}

/// What the first bytes of a file turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    /// A header of a block of this stream, and its length.
    Ours(Header, usize),
    /// Written in the layout of another version.
    OtherVersion,
    /// Written for another stream.
    OtherStream,
    /// Torn or damaged.
    Damaged,
}

impl Header {
    /// Bytes of the header in a file of the stream `key`, which has at most 64 bytes.
    pub fn encode(&self, key: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_FIXED_BYTES + key.len() + CRC_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[
            VERSION,
            key.len() as u8,
            codec_number(self.format.codec),
            self.format.profile,
        ]);
        out.extend_from_slice(&self.format.sample_rate_hz.to_le_bytes());
        out.extend_from_slice(&self.format.bitrate_kbps.to_le_bytes());
        out.extend_from_slice(&[self.format.channels, 0]);
        out.extend_from_slice(&self.position.0.to_le_bytes());
        out.extend_from_slice(&self.numbers.segment.0.to_le_bytes());
        out.extend_from_slice(&self.numbers.discontinuity_seq.to_le_bytes());
        out.extend_from_slice(&self.numbers.pts_base.to_le_bytes());
        out.extend_from_slice(&self.numbers.samples_before.to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        seal(&mut out);
        out
    }

    /// The position that the header at the start of an index tells; none if it is too short.
    pub fn position(input: &[u8]) -> Option<Position> {
        input.get(..HEADER_FIXED_BYTES).map(|header| Position(u64_at(header, 16)))
    }

    /// Reads the header at the start of an index file of the stream `key`.
    pub fn decode(input: &[u8], key: &str) -> HeaderRead {
        if input.len() < HEADER_FIXED_BYTES || &input[..4] != MAGIC {
            return HeaderRead::Damaged;
        }
        if input[4] != VERSION {
            return HeaderRead::OtherVersion;
        }
        let len = HEADER_FIXED_BYTES + usize::from(input[5]) + CRC_BYTES;
        let Some(body) = input.get(..len).and_then(sealed) else { return HeaderRead::Damaged };
        let Some(codec) = codec_of(input[6]) else { return HeaderRead::OtherVersion };
        if &body[HEADER_FIXED_BYTES..] != key.as_bytes() {
            return HeaderRead::OtherStream;
        }
        let format = Format {
            codec,
            profile: input[7],
            sample_rate_hz: u32_at(input, 8),
            bitrate_kbps: u16_at(input, 12),
            channels: input[14],
        };
        let numbers = Numbers {
            segment: SegmentSeq(u64_at(input, 24)),
            discontinuity_seq: u64_at(input, 32),
            pts_base: u64_at(input, 40),
            samples_before: u64_at(input, 48),
        };
        HeaderRead::Ours(Header { position: Position(u64_at(input, 16)), format, numbers }, len)
    }
}

impl ChunkRecord {
    /// The record as it stands in the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CHUNK_RECORD_BYTES);
        out.extend_from_slice(&[KIND_CHUNK, flags(self.starts_segment, self.discontinuity), 0, 0]);
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.time.0.to_le_bytes());
        out.extend_from_slice(&self.span_us.to_le_bytes());
        out.extend_from_slice(&self.samples.to_le_bytes());
        out.extend_from_slice(&self.audio_crc.to_le_bytes());
        seal(&mut out);
        out
    }

    fn decode(input: &[u8]) -> Option<Self> {
        let body = sealed(input.get(..CHUNK_RECORD_BYTES)?)?;
        Some(ChunkRecord {
            time: Time(u64_at(body, 8) as i64),
            len: u32_at(body, 4),
            span_us: u32_at(body, 16),
            samples: u32_at(body, 20),
            starts_segment: body[1] & STARTS_SEGMENT != 0,
            discontinuity: body[1] & DISCONTINUITY != 0,
            audio_crc: u32_at(body, 24),
        })
    }

    /// The chunk in memory, at `offset` bytes of its block.
    pub fn entry(&self, offset: u32) -> Entry {
        Entry {
            time: self.time,
            offset,
            span_us: self.span_us,
            samples: self.samples,
            flags: flags(self.starts_segment, self.discontinuity),
        }
    }

    /// What the numbers of the chunk, and of the next one, follow from.
    pub fn step(&self, format: Format) -> Step {
        Step {
            format,
            samples: self.samples,
            starts_segment: self.starts_segment,
            discontinuity: self.discontinuity,
        }
    }
}

impl Entry {
    /// End of the chunk in time.
    pub fn end(&self) -> Time {
        self.time.plus_micros(i64::from(self.span_us))
    }

    pub fn starts_segment(&self) -> bool {
        self.flags & STARTS_SEGMENT != 0
    }

    pub fn discontinuity(&self) -> bool {
        self.flags & DISCONTINUITY != 0
    }
}

impl Record {
    /// The record as it stands in the file. Texts are cut at a character's border.
    pub fn encode_metadata(metadata: &Metadata, time: Time) -> Vec<u8> {
        let (title, url) = (cut(&metadata.title), cut(&metadata.url));
        let mut out = Vec::with_capacity(METADATA_FIXED_BYTES + title.len() + url.len() + CRC_BYTES);
        out.extend_from_slice(&[KIND_METADATA, 0]);
        out.extend_from_slice(&(title.len() as u16).to_le_bytes());
        out.extend_from_slice(&(url.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&time.0.to_le_bytes());
        out.extend_from_slice(title.as_bytes());
        out.extend_from_slice(url.as_bytes());
        seal(&mut out);
        out
    }

    /// True if `input` is shorter than the record that it starts.
    pub fn is_torn(input: &[u8]) -> bool {
        let wanted = match *input.first().unwrap_or(&0) {
            KIND_CHUNK => CHUNK_RECORD_BYTES,
            KIND_METADATA => input.get(..METADATA_FIXED_BYTES).map_or(METADATA_FIXED_BYTES, metadata_bytes),
            _ => 0,
        };
        input.len() < wanted
    }

    /// The first record of `input` and its length; none if it is torn, damaged or of an unknown kind.
    pub fn decode(input: &[u8]) -> Option<(Record, usize)> {
        match *input.first()? {
            KIND_CHUNK => Some((Record::Chunk(ChunkRecord::decode(input)?), CHUNK_RECORD_BYTES)),
            KIND_METADATA => decode_metadata(input),
            _ => None,
        }
    }
}

/// Length of the metadata record that starts with `fixed`.
fn metadata_bytes(fixed: &[u8]) -> usize {
    METADATA_FIXED_BYTES + usize::from(u16_at(fixed, 2)) + usize::from(u16_at(fixed, 4)) + CRC_BYTES
}

fn decode_metadata(input: &[u8]) -> Option<(Record, usize)> {
    let fixed = input.get(..METADATA_FIXED_BYTES)?;
    let title_bytes = usize::from(u16_at(fixed, 2));
    let len = metadata_bytes(fixed);
    let body = sealed(input.get(..len)?)?;
    let (title, url) = body[METADATA_FIXED_BYTES..].split_at(title_bytes);
    let metadata =
        Metadata { title: str::from_utf8(title).ok()?.to_owned(), url: str::from_utf8(url).ok()?.to_owned() };
    Some((Record::Metadata(metadata, Time(u64_at(body, 8) as i64)), len))
}

fn flags(starts_segment: bool, discontinuity: bool) -> u8 {
    (if starts_segment { STARTS_SEGMENT } else { 0 }) | (if discontinuity { DISCONTINUITY } else { 0 })
}

fn codec_number(codec: Codec) -> u8 {
    match codec {
        Codec::Mp3 => 1,
        Codec::Aac => 2,
    }
}

fn codec_of(number: u8) -> Option<Codec> {
    match number {
        1 => Some(Codec::Mp3),
        2 => Some(Codec::Aac),
        _ => None,
    }
}

/// The longest start of `text` of at most `TEXT_BYTES_MAX` bytes.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// Ends a record with its CRC.
fn seal(out: &mut Vec<u8>) {
    let crc = crc32fast::hash(out);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// What stands before the CRC that ends `record`, if that is right.
fn sealed(record: &[u8]) -> Option<&[u8]> {
    let (body, crc) = record.split_at_checked(record.len().checked_sub(CRC_BYTES)?)?;
    (crc == crc32fast::hash(body).to_le_bytes()).then_some(body)
}

fn u16_at(input: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(input, at))
}

fn u32_at(input: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(input, at))
}

fn u64_at(input: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(input, at))
}

/// `N` bytes of a record whose length was checked.
fn array_at<const N: usize>(input: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&input[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        position: Position(0x0100_0000_0010),
        format: Format {
            codec: Codec::Mp3,
            profile: 3,
            sample_rate_hz: 44_100,
            channels: 2,
            bitrate_kbps: 128,
        },
        numbers: Numbers {
            segment: SegmentSeq(176_400_001),
            discontinuity_seq: 29_400_000,
            pts_base: 5,
            samples_before: 441_000,
        },
    };
    const CHUNK: ChunkRecord = ChunkRecord {
        time: Time(1_764_000_010_000_000),
        len: 8_000,
        span_us: 500_001,
        samples: 22_050,
        starts_segment: true,
        discontinuity: false,
        audio_crc: 0xdead_beef,
    };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    }

    /// The bytes of docs/ref/block-index.md; they change with the version or not at all.
    #[test]
    fn records_have_exactly_these_bytes() {
        assert_eq!(hex(&HEADER.encode("kpcc")), GOLDEN_HEADER);
        assert_eq!(hex(&CHUNK.encode()), GOLDEN_CHUNK);
        let metadata = Metadata { title: "Ä".into(), url: "u".into() };
        assert_eq!(hex(&Record::encode_metadata(&metadata, CHUNK.time)), GOLDEN_METADATA);
        let page = include_str!("../../../docs/ref/block-index.md").replace("\n    ", " ");
        for golden in [GOLDEN_HEADER, GOLDEN_CHUNK, GOLDEN_METADATA] {
            assert!(page.contains(golden), "the reference page shows {golden}");
        }
    }

    #[test]
    fn records_are_read_as_written_and_no_prefix_is() {
        let bytes = HEADER.encode("kpcc");
        assert_eq!(Header::decode(&bytes, "kpcc"), HeaderRead::Ours(HEADER, bytes.len()));
        assert_eq!(Header::decode(&bytes, "kpc"), HeaderRead::OtherStream);
        for len in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..len], "kpcc"), HeaderRead::Damaged, "{len} bytes");
        }
        let metadata = Metadata { title: "Ä".into(), url: "u".into() };
        let records = [
            (CHUNK.encode(), Record::Chunk(CHUNK)),
            (Record::encode_metadata(&metadata, Time(-7)), Record::Metadata(metadata, Time(-7))),
        ];
        for (bytes, record) in records {
            let more = [&bytes[..], b"more"].concat();
            assert_eq!(Record::decode(&more), Some((record, bytes.len())));
            for len in 0..bytes.len() {
                assert_eq!(Record::decode(&bytes[..len]), None, "{len} bytes");
            }
        }
    }

    #[test]
    fn texts_are_cut_at_a_character_at_4080_bytes() {
        let cases = [
            ("x".repeat(4_080), 4_080),
            ("x".repeat(4_081), 4_080),
            (format!("x{}", "ä".repeat(2_040)), 4_079),
        ];
        for (title, wanted) in cases {
            let bytes =
                Record::encode_metadata(&Metadata { title: title.clone(), url: title.clone() }, Time(0));
            let Some((Record::Metadata(read, _), _)) = Record::decode(&bytes) else { panic!("no metadata") };
            assert_eq!((read.title.len(), read.url.len()), (wanted, wanted));
            assert!(title.starts_with(&read.title));
        }
    }

    #[test]
    fn a_chunk_in_memory_takes_at_most_32_bytes() {
        assert!(size_of::<Entry>() <= 32);
    }

    const GOLDEN_HEADER: &str = concat!(
        "53 4d 69 78 01 04 01 03 44 ac 00 00 80 00 02 00 ",
        "10 00 00 00 00 01 00 00 81 a6 83 0a 00 00 00 00 ",
        "c0 9b c0 01 00 00 00 00 05 00 00 00 00 00 00 00 ",
        "a8 ba 06 00 00 00 00 00 6b 70 63 63 bd 31 f6 e4",
    );
    const GOLDEN_CHUNK: &str = concat!(
        "01 01 00 00 40 1f 00 00 80 d6 fa 41 59 44 06 00 ",
        "21 a1 07 00 22 56 00 00 ef be ad de a9 17 63 1f",
    );
    const GOLDEN_METADATA: &str =
        concat!("02 00 02 00 01 00 00 00 80 d6 fa 41 59 44 06 00 ", "c3 84 75 0c 24 d7 41",);
}
