//! Any bytes as the beginning of a connection to the source port: a verdict stands, and a login means few things.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::head::HEAD_MAX;
use wire::shoutcast::{LOGIN_MAX, Opening, parse_headers, recognise};

/// Prefixes of an input that are tried: reading all of a long one would only be slow.
const PREFIXES_MAX: usize = 256;

fuzz_target!(|data: &[u8]| {
    let whole = recognise(data);
    for end in 0..data.len().min(PREFIXES_MAX) {
        let part = recognise(&data[..end]);
        assert!(part.is_none() || part == whole);
    }
    if let Some(Opening::Login { login, length }) = whole {
        assert!(length <= data.len() && length <= 2 * (LOGIN_MAX + 2));
        let claims = login.claims();
        assert!((1..=8).contains(&claims.len()));
        if let Ok(Some((_, headers))) = parse_headers(&data[length..]) {
            assert!(headers <= HEAD_MAX && length + headers <= data.len());
        }
    } else {
        assert!(whole.is_some() || data.len() <= 2 * (LOGIN_MAX + 2));
    }
});
