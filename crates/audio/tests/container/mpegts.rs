//! MPEG transport streams, byte by byte, and read back packet by packet.

use std::collections::BTreeMap;

use audio::container::mpegts::transport_stream;
use audio::container::{Error, TimedTag, id3_text_tag};
use audio::{Codec, Format};
use proptest::prelude::*;
use testkit::audio::{AdtsFrames, Mp3Frames};

use crate::support::{Audio, aac_format, adts, any_audio, mp3_format};

const AUDIO: u16 = 0x100;
const ID3: u16 = 0x101;
/// Ticks until a clock of 33 bits is back where it was.
const WRAP: u64 = 1 << 33;

/// A packet, taken apart.
#[derive(Clone, Debug)]
struct Packet<'a> {
    pid: u16,
    starts: bool,
    counter: u8,
    /// Flags of the adaptation field, 0 without any.
    flags: u8,
    clock: Option<u64>,
    payload: &'a [u8],
}

/// A PES packet, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pes {
    stream_id: u8,
    pts: u64,
    data: Vec<u8>,
}

fn packets(stream: &[u8]) -> Vec<Packet<'_>> {
    assert_eq!(stream.len() % 188, 0);
    stream.chunks(188).map(packet).collect()
}

fn packet(bytes: &[u8]) -> Packet<'_> {
    assert_eq!((bytes[0], bytes[1] & 0xA0, bytes[3] & 0xD0), (0x47, 0, 0x10), "{bytes:02x?}");
    let (mut flags, mut clock, mut payload) = (0, None, &bytes[4..]);
    if bytes[3] & 0x20 != 0 {
        let (field, rest) = payload[1..].split_at(usize::from(payload[0]));
        payload = rest;
        let mut stuffing = field;
        if let [first, behind @ ..] = field {
            (flags, stuffing) = (*first, behind);
        }
        if flags & 0x10 != 0 {
            let clock_bits = field[1..7].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            assert_eq!(clock_bits & 0x7FFF, 0x7E00, "reserved bits, and an extension of 0");
            clock = Some(clock_bits >> 15);
            stuffing = &field[7..];
        }
        assert!(stuffing.iter().all(|byte| *byte == 0xFF), "{field:02x?}");
    }
    assert!(!payload.is_empty(), "a packet without payload would not count");
    let pid = u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]]);
    Packet { pid, starts: bytes[1] & 0x40 != 0, counter: bytes[3] & 0x0F, flags, clock, payload }
}

/// The PES packets of `pid`.
fn pes_packets(packets: &[Packet<'_>], pid: u16) -> Vec<Pes> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for packet in packets.iter().filter(|packet| packet.pid == pid) {
        if packet.starts {
            all.push(Vec::new());
        }
        all.last_mut().expect("a PES packet starts").extend(packet.payload);
    }
    all.iter().map(|bytes| pes(bytes)).collect()
}

fn pes(bytes: &[u8]) -> Pes {
    let header: [u8; 14] = bytes[..14].try_into().expect("14 bytes");
    let [0, 0, 1, stream_id, size_a, size_b, 0x84, 0x80, 5, a, b, c, d, e] = header else {
        panic!("{header:02x?}");
    };
    assert_eq!(usize::from(u16::from_be_bytes([size_a, size_b])), bytes.len() - 6);
    assert_eq!((a >> 4, a & 1, c & 1, e & 1), (2, 1, 1, 1), "{header:02x?}");
    let [a, b, c, d, e] = [a & 0x0E, b, c & 0xFE, d, e & 0xFE].map(u64::from);
    Pes { stream_id, pts: a << 29 | b << 22 | c << 14 | d << 7 | e >> 1, data: bytes[14..].to_vec() }
}

/// `tag`, due with the first frame; none if it is empty.
fn at_start(tag: &[u8]) -> Vec<TimedTag> {
    if tag.is_empty() { Vec::new() } else { vec![TimedTag { samples: 0, tag: tag.to_vec() }] }
}

fn wrap(audio: &Audio, sequence_number: u32, pts: u64, id3: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let id3 = id3.map(at_start);
    let wrapped =
        transport_stream(&audio.format, sequence_number, pts, &audio.data, id3.as_deref(), &mut out);
    wrapped.expect("whole frames");
    out
}

/// Checks that each counter follows the one before on its PID, but where a packet says that it does not; that this
/// is said in no three packets running.
fn check_counters(packets: &[Packet<'_>]) {
    let mut last: BTreeMap<u16, (u8, u32)> = BTreeMap::new();
    for packet in packets {
        let says_so = packet.flags & 0x80 != 0;
        let before = last.get(&packet.pid).copied();
        if let Some((counter, _)) = before {
            assert!(says_so || packet.counter == (counter + 1) % 16, "{before:?}, {packet:02x?}");
        }
        let running = if says_so { before.map_or(0, |(_, running)| running) + 1 } else { 0 };
        assert!(running < 3, "{packet:02x?}");
        last.insert(packet.pid, (packet.counter, running));
    }
}

/// Checks what holds of any segment at `pts`, and that it gives back the audio.
fn check(audio: &Audio, segment: &[u8], pts: u64) {
    let packets = packets(segment);
    assert_eq!((packets[0].pid, packets[1].pid), (0, 0x1000));
    check_counters(&packets);
    let all_audio: Vec<&Packet<'_>> = packets.iter().filter(|packet| packet.pid == AUDIO).collect();
    assert_eq!((all_audio[0].counter, all_audio.len() % 16), (0, 0));
    let pes_packets = pes_packets(&packets, AUDIO);
    let data: Vec<u8> = pes_packets.iter().flat_map(|pes| pes.data.clone()).collect();
    assert_eq!(data, audio.data);
    // Each holds whole frames, due when the samples before them are over.
    let rate = u128::from(audio.format.sample_rate_hz);
    let mut samples = 0;
    for pes in &pes_packets {
        let due = (u128::from(pts) + samples * 90_000 / rate) % u128::from(WRAP);
        assert_eq!((pes.stream_id, u128::from(pes.pts)), (0xC0, due));
        let frames = Audio::new(audio.format, pes.data.clone());
        let lasts = u128::from(frames.samples()) * 90_000 / rate;
        assert!(lasts <= 58_500 || frames.frames.len() == 1, "{lasts} ticks");
        samples += u128::from(frames.samples());
    }
    assert_eq!(samples, u128::from(audio.samples()));
    check_clock(&all_audio, pts);
}

/// Checks that the clock begins 0.1 s before `pts` and goes forward, and is told where each PES packet starts.
fn check_clock(audio: &[&Packet<'_>], pts: u64) {
    let mut last = pts.wrapping_sub(9_000) % WRAP;
    for packet in audio {
        assert_eq!(packet.flags & 0x40 != 0, packet.starts);
        assert!(packet.clock.is_some() || !packet.starts);
        if let Some(clock) = packet.clock {
            let step = clock.wrapping_sub(last) % WRAP;
            assert!(step < WRAP / 2, "{last} to {clock}");
            last = clock;
        }
    }
}

#[test]
fn a_segment_has_these_bytes() {
    let audio = Audio::new(aac_format(), adts(&[0xAA; 300], false));
    let segment = wrap(&audio, 0x35, 0x1_2345_6789, None);
    assert_eq!(segment.len(), (2 + 16) * 188);
    let mut expected = Vec::new();
    let mut packet = |start: &[u8], fill: usize| {
        expected.extend(start);
        expected.resize(expected.len() + fill, 0xFF);
    };
    let pat = b"\x47\x40\x00\x15\x00\x00\xB0\x0D\x00\x01\xC1\x00\x00\x00\x01\xF0\x00\x2A\xB1\x04\xB2";
    packet(pat, 188 - pat.len());
    let pmt = b"\x47\x50\x00\x15\x00\x02\xB0\x12\x00\x01\xC1\x00\x00\xE1\x00\xF0\x00\x0F\xE1\x00\xF0\x00\xB6\x9B\xC0\xD9";
    packet(pmt, 188 - pmt.len());
    // 14 bytes of header and 307 of frame: 176 behind a clock, 131 behind stuffing, 14 of one byte each.
    // The clock: 0x1_2345_6789 - 9,000 = 0x1_2345_4461, then 15 bits.
    let first = b"\x47\x41\x00\x30\x07\x50\x91\xA2\xA2\x30\xFE\x00\x00\x00\x01\xC0\x01\x3B\x84\x80\x05\x29\x8D\x15\xCF\x13";
    packet(&[&first[..], &audio.data[..162]].concat(), 0);
    packet(&[b"\x47\x01\x00\x31".as_slice(), &[52, 0]].concat(), 51);
    packet(&audio.data[162..293], 0);
    for index in 2..16 {
        match index {
            // 2,089 ticks over 16 packets: 913 ticks on, then 1,827.
            7 => packet(b"\x47\x01\x00\x37\xB6\x10\x91\xA2\xA3\xF9\x7E\x00", 175),
            14 => packet(b"\x47\x01\x00\x3E\xB6\x10\x91\xA2\xA5\xC2\x7E\x00", 175),
            _ => packet(&[0x47, 0x01, 0x00, 0x30 | index, 182, 0], 181),
        }
        packet(&[0xAA], 0);
    }
    for (index, (found, expected)) in segment.chunks(188).zip(expected.chunks(188)).enumerate() {
        assert_eq!(found, expected, "packet {index}");
    }
}

#[test]
fn timed_id3_is_a_track_of_its_own() {
    let audio = Audio::new(aac_format(), adts(&[0xAA; 300], false));
    let tag = id3_text_tag(&[("TIT2", "A")]);
    let segment = wrap(&audio, 7, 0, Some(&tag));
    let packets = packets(&segment);
    let pmt =
        b"\x00\x02\xB0\x37\x00\x01\xC3\x00\x00\xE1\x00\xF0\x11\x25\x0F\xFF\xFFID3 \xFFID3 \x00\x1F\x00\x01\
        \x0F\xE1\x00\xF0\x00\x15\xE1\x01\xF0\x0F\x26\x0D\xFF\xFFID3 \xFFID3 \x00\x0F";
    assert_eq!(packets[1].payload[..pmt.len()], *pmt);
    assert_eq!(packets[1].payload[pmt.len() + 4..], [0xFF; 184 - 55 - 4]);
    let id3: Vec<_> = packets.iter().filter(|packet| packet.pid == ID3).collect();
    assert_eq!(
        id3.iter().map(|packet| (packet.counter, packet.flags)).collect::<Vec<_>>(),
        [(0, 0x80), (1, 0)]
    );
    let expected = Pes { stream_id: 0xBD, pts: 0, data: tag };
    assert_eq!(pes_packets(&packets, ID3), [expected]);
    check(&audio, &segment, 0);
}

#[test]
fn tags_within_a_segment_come_before_the_audio_that_they_are_due_with() {
    let audio = Audio::new(aac_format(), AdtsFrames::new(64, 44_100, 2).bytes(0..200));
    let pts = WRAP - 20_000;
    let runs = pes_packets(&packets(&wrap(&audio, 7, pts, None)), AUDIO);
    let samples: Vec<u64> =
        runs.iter().map(|pes| Audio::new(audio.format, pes.data.clone()).samples()).collect();
    // With the first run, within the second, with the third and at the very end; one is longer than a packet.
    let places = [0, samples[0] + 1024, samples[0] + samples[1], audio.samples()];
    let tags: Vec<TimedTag> = places
        .into_iter()
        .zip(1..)
        .map(|(samples, nth)| TimedTag { samples, tag: vec![nth; 100 * nth as usize] })
        .collect();
    let mut segment = Vec::new();
    transport_stream(&audio.format, 7, pts, &audio.data, Some(&tags), &mut segment).unwrap();
    assert_eq!(segment.len(), segment.capacity());
    check(&audio, &segment, pts);
    let packets = packets(&segment);
    let found = pes_packets(&packets, ID3);
    for (pes, timed) in found.iter().zip(&tags) {
        let due = (pts + timed.samples * 90_000 / u64::from(audio.format.sample_rate_hz)) % WRAP;
        assert_eq!((pes.stream_id, pes.pts, &pes.data), (0xBD, due, &timed.tag));
    }
    let starts: Vec<u16> =
        packets[2..].iter().filter(|packet| packet.starts).map(|packet| packet.pid).collect();
    let count = runs.len();
    assert_eq!(starts[..6], [ID3, AUDIO, ID3, AUDIO, ID3, AUDIO]);
    assert_eq!((&starts[count + 2..], starts.len()), (&[ID3, AUDIO][..], count + 4));
}

#[test]
fn no_tags_declare_the_track_and_send_nothing() {
    let audio = Audio::new(aac_format(), adts(&[0xAA; 300], false));
    let (with, empty) = (wrap(&audio, 7, 0, Some(b"ID3")), wrap(&audio, 7, 0, Some(b"")));
    assert_eq!(with[..2 * 188], empty[..2 * 188]);
    assert!(packets(&empty).iter().all(|packet| packet.pid != ID3));
}

#[test]
fn stream_types_are_those_of_the_codec() {
    for (format, frame, stream_type) in [
        (aac_format(), adts(b"audio", false), 0x0F),
        (Format { profile: 5, ..aac_format() }, adts(b"audio", false), 0x0F),
        (mp3_format(), [&[0xFF, 0xFB, 0x90, 0x00][..], &[0; 413]].concat(), 0x03),
        (
            Format { sample_rate_hz: 22_050, ..mp3_format() },
            [&[0xFF, 0xF3, 0x90, 0x00][..], &[0; 257]].concat(),
            0x04,
        ),
    ] {
        let mut out = Vec::new();
        transport_stream(&format, 0, 0, &frame, None, &mut out).unwrap();
        assert_eq!(packets(&out)[1].payload[13], stream_type, "{format:?}");
    }
}

#[test]
fn a_refusal_appends_nothing() {
    let frame = adts(b"audio", false);
    let check = |data: &[u8], id3: Option<&[u8]>, expected| {
        let mut out = b"before".to_vec();
        let id3 = id3.map(at_start);
        let refused = transport_stream(&aac_format(), 0, 0, data, id3.as_deref(), &mut out);
        assert_eq!(refused, Err(expected));
        assert_eq!(out, b"before");
    };
    check(b"", None, Error::Empty);
    check(b"", Some(b"ID3"), Error::Empty);
    check(&frame[1..], None, Error::NotAFrame(0));
    check(&[&frame, &frame[..11]].concat(), None, Error::NotAFrame(12));
    check(&frame, Some(&[0; 65_528]), Error::TooLong { bytes: 65_528, bytes_max: 65_527 });
}

#[test]
fn the_longest_tag_fits() {
    let audio = Audio::new(aac_format(), adts(b"audio", false));
    let tag = [b'x'; 65_527];
    let segment = wrap(&audio, 0, 0, Some(&tag));
    assert_eq!(pes_packets(&packets(&segment), ID3)[0].data, tag);
}

#[test]
fn time_stamps_and_clock_pass_the_end_of_33_bits() {
    let audio = Audio::of_file("aac-44100-2.aac");
    let segment = wrap(&audio, 0, WRAP - 20_000, None);
    check(&audio, &segment, WRAP - 20_000);
    let stamps: Vec<u64> = pes_packets(&packets(&segment), AUDIO).iter().map(|pes| pes.pts).collect();
    assert!(stamps[0] == WRAP - 20_000 && stamps[1] < 58_500, "{stamps:?}");
    // And of 64 bits, whose upper 31 do not count.
    assert_eq!(wrap(&audio, 0, (7 << 33) - 20_000, None), segment);
    assert_eq!(wrap(&audio, 0, 20_000_u64.wrapping_neg(), None), segment);
}

#[test]
fn counters_go_on_from_segment_to_segment() {
    for (file, count) in [("aac-44100-2.aac", 5), ("mp3-44100-vbr.mp3", 7), ("mp3-8000-8-mono.mp3", 1)] {
        let audio = Audio::of_file(file);
        let mut stream = Vec::new();
        // A tag with some of them, of one packet and of more.
        let tags = [vec![b'x'; 20], Vec::new(), vec![b'x'; 500]];
        for (number, cut) in (u32::MAX - 2..=u32::MAX).chain(0..30).zip(audio.cuts(count)) {
            let tag = &at_start(&tags[number as usize % 3]);
            transport_stream(&audio.format, number, 0, cut.data, Some(tag), &mut stream).unwrap();
        }
        check_counters(&packets(&stream));
    }
}

#[test]
fn the_clock_comes_every_tenth_of_a_second() {
    for file in ["aac-44100-2.aac", "mp3-44100-128.mp3", "mp3-44100-free-400.mp3", "mp1-44100-384.mp1"] {
        let audio = Audio::of_file(file);
        let segment = wrap(&audio, 0, 9_000, None);
        let clocks: Vec<u64> = packets(&segment).iter().filter_map(|packet| packet.clock).collect();
        assert_eq!(clocks[0], 0, "{file}");
        assert!(clocks.windows(2).all(|pair| pair[1] - pair[0] <= 9_000), "{file}: {clocks:?}");
        let end = audio.samples() * 90_000 / u64::from(audio.format.sample_rate_hz);
        assert!(end - clocks[clocks.len() - 1] <= 9_000, "{file}: {clocks:?}");
    }
}

/// Bytes in permille of the frames' own.
fn permille(audio: &Audio) -> usize {
    wrap(audio, 0, 0, None).len() * 1_000 / audio.data.len()
}

#[test]
fn ten_seconds_of_128_kbit_cost_less_than_four_percent() {
    // Packets' headers alone are 2.2 percent, tables and the last 16 packets up to 2.
    let aac = Audio::new(aac_format(), AdtsFrames::new(128, 44_100, 2).bytes(0..430));
    let mp3 = Audio::new(mp3_format(), Mp3Frames::new(128, 44_100, 2).bytes(0..382));
    assert_eq!([permille(&aac), permille(&mp3)], [1_037, 1_038]);
}

proptest! {
    #[test]
    fn a_segment_gives_back_exactly_the_frames(audio in any_audio(), number: u32, pts: u64, id3: bool) {
        let tag = id3.then_some(&b"ID3\x04\0\0\0\0\0\0"[..]);
        let segment = wrap(&audio, number, pts, tag);
        check(&audio, &segment, pts);
        for packet in &packets(&segment)[..2] {
            prop_assert_eq!(packet.counter, number as u8 & 0x0F);
        }
        prop_assert_eq!(segment.len(), segment.capacity(), "nothing is set aside that is not used");
    }

    #[test]
    fn any_bytes_are_wrapped_or_refused(
        data in prop::collection::vec(prop_oneof![Just(0xFF), Just(0xF1), Just(0xFB), any::<u8>()], 0..200),
        cut in 0..1_000_usize,
        audio in any_audio(),
        codec in prop_oneof![Just(Codec::Aac), Just(Codec::Mp3)],
        (profile, sample_rate_hz, channels, bitrate_kbps) in any::<(u8, u32, u8, u16)>(),
        pts: u64,
    ) {
        let cut = audio.data[..cut.min(audio.data.len())].to_vec();
        for format in [Format { codec, profile, sample_rate_hz, channels, bitrate_kbps }, audio.format] {
            for data in [&data, &cut, &[&cut[..], &data].concat()] {
                let mut out = Vec::new();
                match transport_stream(&format, 1, pts, data, Some(&at_start(data)), &mut out) {
                    Ok(()) => check(&Audio::new(format, data.clone()), &out, pts),
                    Err(_) => prop_assert!(out.is_empty()),
                }
            }
        }
    }
}
