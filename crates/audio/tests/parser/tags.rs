//! Tags between frames: passed over, whatever they claim.

use audio::Parser;

use crate::build::{aac, free, id3v2, mp3, parse, parse_pieces, random};

fn v1_tag() -> Vec<u8> {
    [b"TAG".to_vec(), vec![b' '; 125]].concat()
}

#[test]
fn tags_between_frames_cost_no_frame() {
    let tags = [
        id3v2(0, 0),
        [id3v2(5_000, 0), vec![0; 5_000]].concat(),
        [id3v2(100_000, 0), random(100_000, 7)].concat(),
        [id3v2(300, 0x10), vec![b'x'; 300], b"3DI\x04\x00\x10\x00\x00\x02\x2C".to_vec()].concat(),
        v1_tag(),
        [v1_tag(), id3v2(20, 0), vec![0; 20]].concat(),
    ];
    for tag in tags {
        for frames in [mp3(20), aac(20)] {
            let input = [tag.clone(), frames[..10].concat(), tag.clone(), frames[10..].concat(), tag.clone()];
            let parsed = parse(&input.concat());
            assert!(parsed.bytes() == frames.concat(), "{:02x?}", &tag[..10]);
            assert_eq!((parsed.stats.skipped_bytes, parsed.stats.resyncs), (3 * tag.len() as u64, 0));
        }
    }
}

#[test]
fn a_tag_after_a_loss_of_sync_is_no_further_loss() {
    let frames = mp3(30);
    let tag = [id3v2(100, 0), vec![0; 100]].concat();
    let input = [frames[..10].concat(), vec![0; 50], frames[10..20].concat(), tag, frames[20..].concat()];
    assert_eq!(parse(&input.concat()).stats.resyncs, 1);
}

#[test]
fn a_tag_split_anywhere_is_the_same() {
    let frames = mp3(8);
    let tag = [id3v2(200, 0), vec![b'T'; 200]].concat();
    let input = [frames[..4].concat(), tag.clone(), frames[4..].concat()].concat();
    let from = frames[..4].concat().len();
    for cut in from - 2..from + tag.len() + 12 {
        let (first, second) = input.split_at(cut);
        assert_eq!(parse_pieces(None, [first, second]).bytes(), frames.concat(), "cut at {cut}");
    }
}

#[test]
fn a_tag_is_never_held() {
    let mut parser = Parser::new(None);
    let mut out = Vec::new();
    parser.push(&id3v2((1 << 28) - 1, 0), &mut out);
    for seed in 0..64 {
        parser.push(&random(16_384, seed), &mut out);
        assert!(parser.unparsed().len() < 33_000);
    }
    assert_eq!(out, []);
}

#[test]
fn four_frames_and_a_header_end_a_tag_that_lies() {
    for frames in [mp3(30), aac(30)] {
        for junk_bytes in [0, 1, 10_000] {
            let lie = [id3v2((1 << 28) - 1, 0), vec![b'T'; junk_bytes]].concat();
            let input = [frames[..10].concat(), lie.clone(), frames[10..].concat()].concat();
            let parsed = parse(&input);
            assert!(parsed.bytes() == frames.concat(), "{junk_bytes}");
            assert_eq!(parsed.stats.skipped_bytes, lie.len() as u64);
        }
    }
}

#[test]
fn less_than_four_frames_within_a_tag_are_the_tags() {
    let frames = mp3(10);
    let body = |count: usize| {
        let mut body = [frames[..count].concat(), frames[count][..4].to_vec()].concat();
        body.resize(3_000, 0);
        body
    };
    for (count, given) in [(1, 10), (3, 10), (4, 14)] {
        let input = [id3v2(3_000, 0), body(count), frames.concat()].concat();
        assert_eq!(parse(&input).frames.len(), given, "{count} frames in the tag");
    }
}

#[test]
fn a_tag_is_known_within_junk() {
    let frames = mp3(10);
    let body = [frames[..3].concat(), vec![0; 1_000]].concat();
    let tag = [id3v2(body.len() as u32, 0), body].concat();
    let input = [vec![b'x'; 700], tag, frames.concat()].concat();
    assert_eq!(parse(&input).bytes(), frames.concat());
}

#[test]
fn free_format_frames_within_a_tag_are_the_tags() {
    let body = free(20, 1_044).concat();
    let input = [id3v2(body.len() as u32, 0), body, mp3(10).concat()].concat();
    assert_eq!(parse(&input).bytes(), mp3(10).concat());
}

#[test]
fn a_tag_that_ends_early_is_followed_by_junk() {
    let frames = mp3(10);
    let input = [id3v2(100, 0), vec![b'x'; 900], frames.concat()].concat();
    assert_eq!(parse(&input).bytes(), frames.concat());
}

#[test]
fn an_ape_tag_is_junk() {
    let frames = mp3(20);
    let tag = [b"APETAGEX".to_vec(), vec![0; 24]].concat();
    let input = [frames[..10].concat(), tag, frames[10..].concat()].concat();
    assert_eq!(parse(&input).bytes(), [frames[..9].concat(), frames[10..].concat()].concat());
}
