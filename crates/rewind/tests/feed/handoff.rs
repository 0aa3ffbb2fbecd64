//! Feeds as plain data: what goes on in another process goes on to the byte.

use std::num::NonZeroU32;

use audio::Time;
use bytes::Bytes;
use rewind::{Feed, Request, Start, Turn};
use wire::icy::Metadata;

use super::station::*;

/// Takes `bytes` bytes one by one, as it were, then all by another feed; and all that is due at `later` by that.
fn cut_at(station: &Station, request: &Request, times: [Time; 2], bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let mut listener = station.open(request, times[0]);
    listener.feed.prefix(Bytes::from_static(b"HTTP"));
    while listener.received.len() < bytes {
        let left = bytes - listener.received.len();
        if listener.take(times[0], ALL, left) != Turn::Ready {
            break;
        }
    }
    let state = listener.feed.state();
    let feed = Feed::resume(&station.log, state.clone());
    assert_eq!(feed.state(), state);
    let mut resumed = Listener { feed, ..listener };
    resumed.listen(times[0]);
    let first = resumed.received();
    resumed.listen(times[1]);
    (first, resumed.received())
}

#[test]
fn a_feed_goes_on_at_any_byte_as_if_nothing_had_been() {
    let mut station = Station::on_air(2);
    station.writer.set_metadata(Metadata { title: "T".into(), url: "u".into() }, station.edge());
    station.append(60);
    let opened = station.edge();
    let times = [opened, after(opened, 5)];
    let small = NonZeroU32::new(700);
    let requests = [
        Request { metaint: small, burst: seconds(1), ..request(Start::At(START)) },
        Request { metaint: small, burst: seconds(1), ..request(Start::Live) },
        Request { metaint: small, ..pump(station.time_of(30), station.time_of(70)) },
        Request { burst: seconds(1), ..request(Start::Behind(seconds(9))) },
    ];
    for request in requests {
        let whole = cut_at(&station, &request, times, 0);
        assert!(whole.0.len() > 5_000 && whole.0.starts_with(b"HTTP"));
        for bytes in 1..=whole.0.len() {
            assert!(cut_at(&station, &request, times, bytes) == whole, "{request:?} cut at {bytes}");
        }
    }
}

#[test]
fn a_feed_whose_audio_is_gone_meanwhile_jumps_or_breaks_off() {
    let mut station = Station::on_air(100);
    let endless = station.open(&request(Start::At(START)), station.edge()).feed.state();
    let promised = station.open(&pump(START, station.edge()), station.edge()).feed.state();
    station.append(300);
    let oldest = station.log.span().unwrap();
    let mut resumed = Listener::new(Feed::resume(&station.log, endless));
    assert_eq!((resumed.feed.jumps(), resumed.feed.position()), (1, oldest.first));
    assert_eq!(resumed.feed.first(), Some(START));
    resumed.listen(after(station.edge(), 1_000));
    assert!(station.frames.scan(&resumed.received).is_whole());
    assert_eq!(resumed.feed.position(), oldest.end_position);
    let mut resumed = Listener::new(Feed::resume(&station.log, promised));
    assert_eq!(resumed.listen(station.edge()), Turn::Broken);
    assert_eq!(resumed.received, b"");
}
