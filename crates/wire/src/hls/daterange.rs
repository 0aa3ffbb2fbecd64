//! Named spans of time in playlists: `EXT-X-DATERANGE` (RFC 8216, 4.3.2.7).

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::metadata::clean;

/// What ranges of programmes are.
pub const PROGRAM_CLASS: &str = "org.streammachine.program";
/// What ranges of titles are.
pub const TITLE_CLASS: &str = "org.streammachine.title";

/// A named span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateRange<'a> {
    /// Names it in all playlists of the stream; never given to another.
    pub id: &'a str,
    /// Its start.
    pub start: Timestamp,
    /// Its end, once that is known.
    pub end: Option<Timestamp>,
    /// What it is called.
    pub name: &'a str,
    /// What `program=` calls it.
    pub program: &'a str,
}

/// Appends the tag of a range.
pub fn write_date_range(out: &mut String, range: &DateRange<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "#EXT-X-DATERANGE:ID=\"{}\",CLASS=\"{PROGRAM_CLASS}\",START-DATE=\"{:.3}\"",
        quotable(range.id),
        range.start
    );
    if let Some(end) = range.end {
        let _ = write!(out, ",END-DATE=\"{end:.3}\"");
    }
    let _ =
        writeln!(out, ",X-NAME=\"{}\",X-PROGRAM-ID=\"{}\"", quotable(range.name), quotable(range.program));
}

/// Appends the tag of a title, heard from `start` until the next one begins; the line never changes. `id` names it in all
/// playlists of the stream and is never given to another. An empty title ends the one before.
pub fn write_title_range(out: &mut String, id: &str, start: Timestamp, title: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "#EXT-X-DATERANGE:ID=\"{}\",CLASS=\"{TITLE_CLASS}\",START-DATE=\"{start:.3}\",END-ON-NEXT=YES,\
         X-TITLE=\"{}\"",
        quotable(id),
        quotable(title)
    );
}

/// Text for a quoted string, which holds neither line breaks nor quotes.
fn quotable(text: &str) -> String {
    clean(text).replace('"', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(range: &DateRange<'_>) -> String {
        let mut out = String::new();
        write_date_range(&mut out, range);
        out
    }

    #[test]
    fn an_end_is_told_once_it_is_known() {
        let start = "2026-11-23T09:00:00.25Z".parse().unwrap();
        let range = DateRange { id: "program-17", start, end: None, name: "News", program: "news" };
        let line = "#EXT-X-DATERANGE:ID=\"program-17\",CLASS=\"org.streammachine.program\",\
                    START-DATE=\"2026-11-23T09:00:00.250Z\"";
        let names = ",X-NAME=\"News\",X-PROGRAM-ID=\"news\"\n";
        assert_eq!(write(&range), format!("{line}{names}"));
        let ended = DateRange { end: "2026-11-23T10:00:00Z".parse().ok(), ..range };
        assert_eq!(write(&ended), format!("{line},END-DATE=\"2026-11-23T10:00:00.000Z\"{names}"));
    }

    #[test]
    fn a_title_ends_with_the_next() {
        let mut out = String::new();
        let start = "2026-11-23T09:00:00.25Z".parse().unwrap();
        write_title_range(&mut out, "title-at-7", start, "A \"b\"\nc");
        write_title_range(&mut out, "title-at-8", start, "");
        let line = |id, title| {
            format!(
                "#EXT-X-DATERANGE:ID=\"title-at-{id}\",CLASS=\"org.streammachine.title\",\
                 START-DATE=\"2026-11-23T09:00:00.250Z\",END-ON-NEXT=YES,X-TITLE=\"{title}\"\n"
            )
        };
        assert_eq!(out, line(7, "A 'b' c") + &line(8, ""));
    }

    #[test]
    fn no_name_ends_its_line_or_its_quotes() {
        let name = "A\"B\r\n#EXT-X-ENDLIST\n\u{2028}c";
        let range =
            DateRange { id: "1", start: Timestamp::UNIX_EPOCH, end: None, name, program: "x\",Y=\"z" };
        let text = write(&range);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(text.matches('"').count(), 10, "{text}");
        assert!(text.contains("X-NAME=\"A'B #EXT-X-ENDLIST"), "{text}");
    }
}
