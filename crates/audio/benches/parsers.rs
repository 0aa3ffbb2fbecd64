//! Bytes per second through the parser: clean MP3, clean ADTS, and bytes that are neither.

use audio::Parser;
use divan::Bencher;
use divan::counter::BytesCount;

/// What a socket read brings at most.
const READ_BYTES: usize = 16 * 1_024;
const INPUT_BYTES: usize = 4 * 1_024 * 1_024;

fn main() {
    divan::main();
}

#[divan::bench]
fn mp3_128(bencher: Bencher<'_, '_>) {
    bench_parse(bencher, include_bytes!("../../../testdata/audio/mp3-44100-128.mp3"));
}

#[divan::bench]
fn adts(bencher: Bencher<'_, '_>) {
    bench_parse(bencher, include_bytes!("../../../testdata/audio/aac-44100-2.aac"));
}

#[divan::bench]
fn free_format(bencher: Bencher<'_, '_>) {
    bench_parse(bencher, include_bytes!("../../../testdata/audio/mp3-44100-free-400.mp3"));
}

#[divan::bench]
fn random_junk(bencher: Bencher<'_, '_>) {
    let mut state = 1_u64;
    let junk: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(INPUT_BYTES)
    .collect();
    bench_parse(bencher, &junk);
}

#[divan::bench]
fn junk_of_0xff(bencher: Bencher<'_, '_>) {
    bench_parse(bencher, &[0xFF]);
}

/// Parses `sample`, over and over, in reads of a socket's size.
fn bench_parse(bencher: Bencher<'_, '_>, sample: &[u8]) {
    let input = sample.repeat(INPUT_BYTES.div_ceil(sample.len()));
    bencher.counter(BytesCount::new(input.len())).bench_local(|| {
        let mut parser = Parser::new(None);
        let mut out = Vec::new();
        for read in input.chunks(READ_BYTES) {
            parser.push(read, &mut out);
            out.clear();
        }
        parser.stats().frames
    });
}
