//! Any bytes as what an upstream answers, and as a playlist that it gives in place of audio.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::playlist::{find_entry, is_hls};
use wire::upstream::Answer;

fuzz_target!(|bytes: &[u8]| {
    // A verdict stands whatever comes behind it.
    let mut verdict = Ok(None);
    for end in 0..=bytes.len() {
        let now = Answer::parse(&bytes[..end]);
        assert!(verdict == Ok(None) || verdict == now || verdict.is_err() && now.is_err());
        verdict = now;
    }
    if let Ok(Some((answer, length))) = verdict {
        assert!(length <= bytes.len() && !answer.reason.contains(char::is_control));
        let _ = (answer.body(), answer.metaint(), answer.location(), answer.media_type());
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = is_hls(&text);
    if let Some(entry) = find_entry(&text) {
        assert!(!entry.is_empty() && !entry.contains('\n'));
    }
});
