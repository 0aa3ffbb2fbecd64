//! Files that are no configuration of an Icecast, or not in bounds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{import, import_with, with};
use crate::config::import::{BYTES_MAX, ImportError, Surroundings, icecast};

fn refused(xml: &[u8]) -> String {
    let around = Surroundings { mounts: &[], hash: &|_| String::new(), exists: &|_| false };
    icecast(xml, &around).unwrap_err().to_string()
}

#[test]
fn malformed_files_are_told_with_line_and_column() {
    for (xml, told) in [
        ("", "1:1: "),
        ("<icecast>\n  <limits>\n</icecast>", "3:1: expected 'limits' tag, not 'icecast'"),
        ("<icecast>\n<a b=1/></icecast>", "2:6: "),
        ("<icecast>&unknown;</icecast>", "1:10: unknown entity reference 'unknown'"),
        ("<icecast></icecast><more/>", "1:20: "),
        ("<icecast>\u{1}</icecast>", "1:10: "),
        ("{\"port\": 8000}", "1:1: "),
        ("\n<shoutcast/>", "2: expected the configuration of an Icecast, <icecast>, found <shoutcast>"),
        (
            "<?xml version=\"1.0\"?>\n <!DOCTYPE icecast [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><icecast>&a;</icecast>",
            "2:2: a document type is not read; take it out",
        ),
    ] {
        let refused = refused(xml.as_bytes());
        assert!(refused.starts_with(told), "{xml}: {refused}");
    }
}

#[test]
fn encodings_are_those_of_the_mark_or_the_declaration() {
    let name = |bytes: &[u8]| {
        let around = Surroundings { mounts: &[], hash: &|_| String::new(), exists: &|_| false };
        let imported = icecast(bytes, &around)?;
        Ok::<Value, ImportError>(imported.settings["streams"]["a"]["name"].clone())
    };
    let xml = |declaration: &str| {
        format!(
            "{declaration}<icecast>\n<mount><mount-name>/a</mount-name><stream-name>Ä</stream-name></mount></icecast>"
        )
    };
    let latin = |text: &str| text.chars().map(|it| u8::try_from(u32::from(it)).unwrap()).collect::<Vec<u8>>();
    let declared = xml("<?xml version='1.0' encoding='ISO-8859-1'?>");
    let marked = xml("\u{feff}<?xml version=\"1.0\"?>");
    let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [xml("").into_bytes(), marked.clone().into_bytes(), latin(&declared), wide] {
        assert_eq!(name(&bytes), Ok(json!("Ä")));
    }
    assert_eq!(refused(&latin(&xml(""))), "2: it is not in the encoding \"UTF-8\"");
    let unknown = xml("<?xml version=\"1.0\" encoding=\"klingon\"?>");
    assert_eq!(refused(unknown.as_bytes()), "1: it is not in the encoding \"klingon\"");
}

#[test]
fn length_depth_and_number_are_bounded() {
    let xml = with("<mount><mount-name>/a</mount-name></mount>");
    let padded = |length: usize| xml.clone() + &" ".repeat(length - xml.len());
    assert!(import_with(&padded(BYTES_MAX), &[], &[]).is_ok());
    assert_eq!(refused(padded(BYTES_MAX + 1).as_bytes()), "it is longer than 1048576 bytes");

    let nested = |depth: usize| format!("<icecast>{}{}</icecast>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(import_with(&nested(15), &[], &[]).is_ok());
    let told = "1:55: elements are nested deeper than 16";
    assert_eq!(refused(nested(16).as_bytes()), told);
    assert_eq!(refused(nested(100_000).as_bytes()), told);

    let many = with(&"<x/>".repeat(200_000));
    let (_, told) = import(&many);
    assert_eq!(told.len(), 1001);
    assert_eq!(told[1000], "warning 1: /icecast: there is more to tell, 199002 times");

    let mounts: String =
        (0..1002).map(|n| format!("<mount><mount-name>/m{n}</mount-name></mount>")).collect();
    let (settings, told) = import(&with(&mounts));
    assert_eq!(settings["streams"].as_object().unwrap().len(), 1000);
    assert!(
        told.iter().any(|line| line.contains("/icecast/mount[1002]: is left out: there are 1000")),
        "{told:?}"
    );
}

/// Names of elements that matter.
const NAMES: &str = "mount relay mount-name local-mount listen-socket port bind-address ssl hostname limits burst-size \
    queue-size clients bitrate authentication source-password password admin-password paths webroot \
    fallback-mount directory yp-url public type server upstream uri genre listenurl shoutcast-mount \
    http-headers logging loglevel other";
/// Values that may or may not fit.
const VALUES: &str = "|1|0|-1|8000|65535|99999999999999999999|1e308|NaN|/a|/a|/b/c|/api|/.|a b|http://h/|http://u:p@h/|::1|127.0.0.1|audio/aac|ogg|/é|/x[128]|/..|&#10;|*";

/// An element of a name that matters, with a value that may or may not fit, or with more elements.
fn element() -> impl Strategy<Value = String> {
    let names = proptest::sample::select(NAMES.split_whitespace().collect::<Vec<_>>());
    let values = proptest::sample::select(VALUES.split('|').collect::<Vec<_>>());
    let leaf = (names.clone(), values).prop_map(|(name, value)| format!("<{name}>{value}</{name}>"));
    leaf.prop_recursive(3, 40, 8, move |inner| {
        let kind = proptest::sample::select(vec!["", " type=\"default\"", " url=\"http://d/\""]);
        (names.clone(), kind, proptest::collection::vec(inner, 0..8))
            .prop_map(|(name, kind, inner)| format!("<{name}{kind}>{}</{name}>", inner.concat()))
    })
}

proptest! {
    #[test]
    fn whatever_is_said_the_result_is_without_error(elements in proptest::collection::vec(element(), 0..8)) {
        import(&format!("<icecast>{}</icecast>", elements.concat()));
    }

    #[test]
    fn no_bytes_panic(bytes in "(<icecast>|</icecast>|<mount>|</|>|<!\\[CDATA\\[|\\]\\]>|&#|<\\?xml encoding=|[a-z;=\"é\u{0}]){0,12}") {
        // That it returns is the fact.
        let _ = import_with(&bytes, &[], &[]);
    }
}
