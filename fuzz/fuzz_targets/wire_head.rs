//! Any bytes as a request head, as they would come one by one: a verdict stands, and what is read holds no surprise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::head::{HEAD_MAX, HEADERS_MAX, Head, LINE_MAX, parse};
use wire::path::{PAIRS_MAX, split_target};
use wire::source::{SourceRequest, classify};

/// Prefixes of an input that are tried: parsing all of a long one would only be slow.
const PREFIXES_MAX: usize = 256;

fuzz_target!(|data: &[u8]| {
    let whole = parse(data);
    let step = data.len() / PREFIXES_MAX + 1;
    for end in (0..data.len()).step_by(step) {
        match parse(&data[..end]) {
            Ok(None) => {}
            Ok(head) => assert_eq!(Ok(head), whole),
            Err(_) => assert!(whole.is_err()),
        }
    }
    if let Ok(Some((head, length))) = whole {
        assert!(length <= HEAD_MAX.min(data.len()));
        check(&head);
    }
});

fn check(head: &Head) {
    assert!(!head.method.is_empty() && head.target.len() <= 3 * LINE_MAX);
    assert!(!head.target.contains(|it: char| it.is_ascii_control()));
    assert!(head.headers().count() <= HEADERS_MAX);
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && !name.contains(|it: char| it.is_ascii_control() || it == ' '));
        assert!(!value.contains(|it: char| it.is_ascii_control() && it != '\t'));
    }
    assert!(!head.is_chunked() || head.content_length().is_none());
    let _ = wire::auth::basic(head.header("authorization"));
    if let Ok((path, query)) = split_target(&head.target) {
        assert!(!path.contains(char::is_control));
        assert!(query.pairs().count() <= PAIRS_MAX);
    }
    if let SourceRequest::Source(source) = classify(head) {
        assert!(source.mount.starts_with('/') && !source.mount.contains(char::is_control));
    }
}
