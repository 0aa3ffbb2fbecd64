//! The tags of low latency: parts of segments, the hint at the next one, and reports on the other variants.

use std::fmt::Write as _;
use std::time::Duration;

/// Players keep so many parts behind the live edge: less, and one late part is heard.
const HOLD_BACK_PARTS: u32 = 3;

/// How far another variant of the group is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    /// Its media playlist, without a query.
    pub uri: String,
    /// Number of its newest segment.
    pub segment: u64,
    /// Number of that segment's newest part.
    pub part: u64,
}

/// The lines of a playlist with parts of at most `target`.
pub(super) fn write_part_target(out: &mut String, target: Duration) {
    let _ = writeln!(out, "#EXT-X-PART-INF:PART-TARGET={:.3}", target.as_secs_f64());
}

/// The attribute of `EXT-X-SERVER-CONTROL` that goes with it.
pub(super) fn write_hold_back(out: &mut String, target: Duration) {
    let _ = write!(out, ",PART-HOLD-BACK={:.3}", (HOLD_BACK_PARTS * target).as_secs_f64());
}

/// Appends the line of a part of `samples` at `rate_hz`. Audio decodes from any frame on.
pub fn write_part(out: &mut String, samples: u64, rate_hz: u32, uri: &str) {
    let micros = u128::from(samples) * 1_000_000 / u128::from(rate_hz.max(1));
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "#EXT-X-PART:DURATION={seconds}.{micros:06},URI=\"{uri}\",INDEPENDENT=YES");
}

/// Appends the line of the part that comes next.
pub fn write_hint(out: &mut String, uri: &str) {
    let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{uri}\"");
}

/// Appends the line of another variant.
pub fn write_report(out: &mut String, report: &Report) {
    let Report { uri, segment, part } = report;
    let _ = writeln!(out, "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={segment},LAST-PART={part}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_exactly_these_characters() {
        let mut out = String::new();
        write_part_target(&mut out, Duration::from_secs(1));
        write_part(&mut out, 44_032, 44_100, "/a/ts/7.0.m4s");
        write_part(&mut out, 48_000, 48_000, "/a/ts/7.1.m4s");
        write_hint(&mut out, "/a/ts/7.2.m4s");
        write_report(&mut out, &Report { uri: "/b.m3u8".to_owned(), segment: 7, part: 1 });
        write_hold_back(&mut out, Duration::from_millis(500));
        assert_eq!(
            out,
            "#EXT-X-PART-INF:PART-TARGET=1.000\n\
             #EXT-X-PART:DURATION=0.998458,URI=\"/a/ts/7.0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=1.000000,URI=\"/a/ts/7.1.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"/a/ts/7.2.m4s\"\n\
             #EXT-X-RENDITION-REPORT:URI=\"/b.m3u8\",LAST-MSN=7,LAST-PART=1\n\
             ,PART-HOLD-BACK=1.500"
        );
    }
}
