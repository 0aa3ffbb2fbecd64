//! Any text as an instant, in zones with and without daylight saving: within its years, and a time of day never to come.

#![no_main]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use wire::instant::{is_absolute, parse};

/// Zones with ordinary, half-hour and far-off rules.
const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"];

fuzz_target!(|input: (u32, bool, &str)| {
    let (now, fold, text) = input;
    let now = Timestamp::constant(i64::from(now), 0);
    let mut seen = Vec::new();
    for name in ZONES {
        let zone = TimeZone::get(name).expect("a zone that is bundled");
        let Ok(instant) = parse(text, now, &zone, fold) else { continue };
        assert!(instant >= Timestamp::UNIX_EPOCH);
        if matches!(text.trim().as_bytes(), [b'-', ..] | [_, _, b':', ..]) {
            assert!(instant <= now);
        }
        seen.push(instant);
    }
    if is_absolute(text) && !seen.is_empty() {
        assert_eq!(seen, vec![seen[0]; ZONES.len()]);
    }
});
