//! Requests per second through the parsers: an encoder's head, a listener's head, a listener's path and query.

use divan::{Bencher, black_box};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use wire::listen::{ListenPath, ListenQuery};
use wire::path::split_target;

const ENCODER: &[u8] = b"PUT /f.mp3 HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\nAccept: */*\r\n\
    Expect: 100-continue\r\nConnection: close\r\nHost: 127.0.0.1:18999\r\nContent-Type: audio/mpeg\r\n\
    Icy-MetaData: 1\r\nIce-Name: R\xc3\xa4dio\r\nIce-Description: d\r\nIce-URL: http://u\r\nIce-Genre: g\r\n\
    Ice-Public: 1\r\nAuthorization: Basic c291cmNlOnB3\r\n\r\n";
const LISTENER: &[u8] = b"GET /test?start=09:00&duration=1800 HTTP/1.1\r\nUser-Agent: Lavf/59.27.100\r\n\
    Accept: */*\r\nRange: bytes=0-\r\nConnection: close\r\nHost: radio.example\r\nIcy-MetaData: 1\r\n\r\n";

fn main() {
    divan::main();
}

#[divan::bench]
fn head_of_encoder(bencher: Bencher<'_, '_>) {
    bencher.bench(|| wire::head::parse(black_box(ENCODER)));
}

#[divan::bench]
fn head_of_listener(bencher: Bencher<'_, '_>) {
    bencher.bench(|| wire::head::parse(black_box(LISTENER)));
}

/// The worst a sender can do to the parser: a head that comes byte by byte is read anew at each.
#[divan::bench]
fn head_byte_by_byte(bencher: Bencher<'_, '_>) {
    bencher.bench(|| {
        let prefixes = (0..=ENCODER.len()).map(|end| wire::head::parse(black_box(&ENCODER[..end])));
        prefixes.filter(Result::is_ok).count()
    });
}

#[divan::bench(args = ["/test", "/test/;?aw_0=1", "/test?offset=3600", "/test?start=09:00&duration=1800"])]
fn listen_path(bencher: Bencher<'_, '_>, target: &str) {
    let now = Timestamp::from_second(1_795_424_400).expect("a second of this century");
    bencher.bench(|| {
        let (path, query) = split_target(black_box(target)).ok()?;
        let query = ListenQuery::decode(&query, now, &TimeZone::UTC).ok()?;
        Some((ListenPath::decode(&path), query))
    });
}
