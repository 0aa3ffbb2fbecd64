//! Any text as what a listener asks: ends lie behind starts, lengths are bounded, texts are clean.

#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use wire::listen::{ListenPath, ListenQuery, Start};
use wire::path::split_target;

/// Longer than anything that may be asked for.
const TOO_LONG: Duration = Duration::from_secs(11 * 366 * 86_400);

fuzz_target!(|target: &str| {
    let Ok((path, query)) = split_target(target) else { return };
    if let ListenPath::Stream(key) | ListenPath::Playlist(key, _) =
        ListenPath::decode(&path)
    {
        assert!(!key.is_empty() && !key.contains(['/', ';']) && path.starts_with(&format!("/{key}")));
    }
    let now = Timestamp::constant(1_795_424_400, 0);
    match ListenQuery::decode(&query, now, &TimeZone::UTC) {
        Ok(query) => check(&query),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn check(query: &ListenQuery) {
    match query.start {
        Start::At(start) => assert!(query.end.is_none_or(|end| start < end)),
        Start::Offset(behind) | Start::Delay(behind) => assert!(behind < TOO_LONG && query.end.is_none()),
        Start::Live => assert!(query.end.is_none()),
    }
    if let Some(pump) = query.pump {
        assert!(!pump.length.is_zero() && pump.length < TOO_LONG);
        assert!(pump.from.is_none_or(|from| from < TOO_LONG));
    }
    for text in [&query.session_id, &query.ua].into_iter().flatten() {
        assert!(!text.is_empty() && !text.contains(char::is_control));
    }
}
