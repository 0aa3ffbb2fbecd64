//! Frames made by hand, and a parse that checks what always holds. No facts of its own are shown here.

use audio::{Batch, Codec, Format, Parser, ParserStats, frames_in};

/// One frame as it left the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub format: Format,
    pub samples: u32,
    pub bytes: Vec<u8>,
}

/// All that came of some input.
#[derive(Debug)]
pub struct Parsed {
    pub frames: Vec<Given>,
    pub stats: ParserStats,
}

impl Parsed {
    pub fn bytes(&self) -> Vec<u8> {
        self.frames.iter().flat_map(|frame| frame.bytes.clone()).collect()
    }

    /// The stream keys, each once for a run of frames.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.frames.iter().map(|frame| frame.format.stream_key()).collect();
        keys.dedup();
        keys
    }
}

/// Parses `input` given at once.
pub fn parse(input: &[u8]) -> Parsed {
    parse_pieces(None, [input])
}

/// Parses `pieces` and checks that batches are whole and that no byte is lost or made up.
pub fn parse_pieces<'a>(hint: Option<Codec>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Parsed {
    let mut parser = Parser::new(hint);
    let (mut out, mut pushed, mut given, mut batches) = (Vec::new(), 0, 0, 0);
    for piece in pieces {
        parser.push(piece, &mut out);
        pushed += piece.len() as u64;
        given += out[batches..].iter().map(|batch| batch.data.len() as u64).sum::<u64>();
        batches = out.len();
        assert_eq!(given + parser.stats().skipped_bytes + parser.unparsed().len() as u64, pushed);
    }
    parser.finish(&mut out);
    assert_eq!(parser.unparsed(), b"");
    let frames: Vec<Given> = out.iter().flat_map(check_batch).collect();
    let stats = parser.stats();
    assert_eq!(frames.len() as u64, stats.frames);
    assert_eq!(out.iter().map(|batch| batch.data.len() as u64).sum::<u64>() + stats.skipped_bytes, pushed);
    Parsed { frames, stats }
}

fn check_batch(batch: &Batch) -> Vec<Given> {
    assert!(!batch.frames.is_empty());
    assert_eq!(frames_in(&batch.format, &batch.data).collect::<Vec<_>>(), batch.frames);
    let mut at = 0;
    let given = batch.frames.iter().map(|frame| {
        let bytes = batch.data[at..at + frame.len as usize].to_vec();
        at += frame.len as usize;
        Given { format: batch.format, samples: frame.samples, bytes }
    });
    let given = given.collect();
    assert_eq!(at, batch.data.len());
    given
}

/// A header and bytes of no meaning, none of them 0xFF, to `bytes` in all.
pub fn frame(header: &[u8], bytes: usize, seed: usize) -> Vec<u8> {
    let mut state = seed as u32 + 1;
    let mut frame = header.to_vec();
    frame.resize_with(bytes, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 & 0x7F
    });
    frame
}

/// MPEG-1 layer III, 128 kbit/s, 44,100 Hz, stereo, every third frame padded.
pub fn mp3(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| mp3_at(0x90, 417, n)).collect()
}

/// Like [`mp3`], of 160 kbit/s.
pub fn mp3_160(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| mp3_at(0xA0, 522, n)).collect()
}

fn mp3_at(bitrate: u8, bytes: usize, n: usize) -> Vec<u8> {
    let padding = usize::from(n % 3 == 2);
    frame(&[0xFF, 0xFB, bitrate | (padding as u8) << 1, 0x44], bytes + padding, n)
}

/// MPEG-1 layer III, 128 kbit/s, 44,100 Hz, mono.
pub fn mono(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| frame(&[0xFF, 0xFB, 0x90, 0xC4], 417, 1_000 + n)).collect()
}

/// MPEG-1 layer III, 128 kbit/s, 48,000 Hz, stereo.
pub fn mp3_48000(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| frame(&[0xFF, 0xFB, 0x94, 0x44], 384, 2_000 + n)).collect()
}

/// MPEG-1 layer II, 192 kbit/s, 44,100 Hz, stereo.
pub fn mp2(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| frame(&[0xFF, 0xFD, 0xA0, 0x44], 626, 3_000 + n)).collect()
}

/// AAC LC, 44,100 Hz, stereo, one raw block, frames of different lengths.
pub fn aac(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| aac_frame(200 + 37 * (n % 5), 1, n)).collect()
}

/// One frame of AAC LC, 44,100 Hz, stereo.
pub fn aac_frame(bytes: usize, blocks: u8, seed: usize) -> Vec<u8> {
    let header = [
        0xFF,
        0xF1,
        0x50,
        0x80 | (bytes >> 11) as u8,
        (bytes >> 3) as u8,
        (bytes << 5) as u8 | 0x1F,
        0xFC | (blocks - 1),
    ];
    frame(&header, bytes, 4_000 + seed)
}

/// MPEG-1 layer III, free format, 44,100 Hz, stereo, every third frame padded.
pub fn free(count: usize, unpadded_bytes: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| {
            let padding = usize::from(n % 3 == 2);
            frame(&[0xFF, 0xFB, (padding as u8) << 1, 0x44], unpadded_bytes + padding, 5_000 + n)
        })
        .collect()
}

/// An `Info` or `Xing` frame of 128 kbit/s, 44,100 Hz, stereo.
pub fn info(mark: &[u8; 4]) -> Vec<u8> {
    let mut frame = vec![0; 417];
    frame[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0x44]);
    frame[36..40].copy_from_slice(mark);
    frame
}

/// The header of an ID3v2.4 tag that claims a body of `body_bytes`.
pub fn id3v2(body_bytes: u32, flags: u8) -> Vec<u8> {
    let seven_bits = |shift: u32| (body_bytes >> shift) as u8 & 0x7F;
    vec![b'I', b'D', b'3', 4, 0, flags, seven_bits(21), seven_bits(14), seven_bits(7), seven_bits(0)]
}

/// Bytes of every value.
pub fn random(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
