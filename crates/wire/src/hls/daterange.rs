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
    write_span(out, (range.id, PROGRAM_CLASS), range.start, range.end);
    // Writing to a string cannot fail.
    let _ =
        writeln!(out, ",X-NAME=\"{}\",X-PROGRAM-ID=\"{}\"", quotable(range.name), quotable(range.program));
}

/// Appends the tag of a title, heard from `start` to `end`, once that is known. `id` names it in all playlists of the stream
/// and is never given to another.
///
/// `END-ON-NEXT` would do without the end, but hls.js 1.7 then takes the latest of all titles for the next one.
pub fn write_title_range(out: &mut String, id: &str, start: Timestamp, end: Option<Timestamp>, title: &str) {
    write_span(out, (id, TITLE_CLASS), start, end);
    // Writing to a string cannot fail.
    let _ = writeln!(out, ",X-TITLE=\"{}\"", quotable(title));
}

/// Appends what all ranges have: id and class, start, and end once that is known.
fn write_span(out: &mut String, (id, class): (&str, &str), start: Timestamp, end: Option<Timestamp>) {
    // Writing to a string cannot fail.
    let _ =
        write!(out, "#EXT-X-DATERANGE:ID=\"{}\",CLASS=\"{class}\",START-DATE=\"{start:.3}\"", quotable(id));
    if let Some(end) = end {
        let _ = write!(out, ",END-DATE=\"{end:.3}\"");
    }
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
    fn a_title_has_a_class_of_its_own() {
        let mut out = String::new();
        let [start, end] = [0, 1].map(|second| Timestamp::new(second, 250_000_000).unwrap());
        write_title_range(&mut out, "title-at-7", start, Some(end), "A \"b\"\nc");
        write_title_range(&mut out, "title-at-8", end, None, "D");
        assert_eq!(
            out,
            "#EXT-X-DATERANGE:ID=\"title-at-7\",CLASS=\"org.streammachine.title\",\
             START-DATE=\"1970-01-01T00:00:00.250Z\",END-DATE=\"1970-01-01T00:00:01.250Z\",X-TITLE=\"A 'b' c\"\n\
             #EXT-X-DATERANGE:ID=\"title-at-8\",CLASS=\"org.streammachine.title\",\
             START-DATE=\"1970-01-01T00:00:01.250Z\",X-TITLE=\"D\"\n"
        );
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
