//! The latest connections of sources as the API shows them: for whoever wonders why an encoder does not get in.

use serde_json::{Map, Value, json};

use crate::base::clock::iso;
use crate::mount::Mount;
use crate::mount::history::{History, Outcome, Protocol, Record};
use crate::source::{End, Source};

/// All connections in `history`, the latest first; `mount` is theirs.
pub fn shown(history: &History, mount: Option<&Mount>) -> Value {
    let on_air = mount.and_then(Mount::on_air).map(|source| source.id);
    history.all().iter().map(|record| one(record, on_air)).collect()
}

fn one(record: &Record, on_air: Option<uuid::Uuid>) -> Value {
    let asked = &record.asked;
    let headers: Map<String, Value> =
        asked.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut shown = json!({
        "at": iso(record.at),
        "first_at": iso(record.first_at),
        "count": record.count,
        "from": asked.peer.to_string(),
        "protocol": match asked.protocol {
            Protocol::Icecast => "icecast",
            Protocol::Shoutcast => "shoutcast",
            Protocol::Unknown => "unknown",
        },
        "method": Some(&asked.method).filter(|method| !method.is_empty()),
        "mount": asked.mount,
        "user": asked.user,
        "agent": headers.get("user-agent"),
        "headers": headers,
    });
    let more = match &record.outcome {
        Outcome::Refused(reason) => json!({ "outcome": "refused", "reason": reason }),
        Outcome::Connected(source) if on_air == Some(source.id) => {
            with(source, json!({ "outcome": "on air" }))
        }
        Outcome::Connected(source) => with(source, json!({ "outcome": "waiting" })),
        Outcome::Ended(source, end, at) => {
            with(source, json!({ "outcome": "ended", "reason": reason(source, end), "ended_at": iso(*at) }))
        }
    };
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

/// How a source ended. One that gave no audio that is understood is told what it said to send.
fn reason(source: &Source, end: &End) -> String {
    let understood = ["audio/mpeg", "audio/mp3", "audio/aac", "audio/aacp", "audio/x-aac", "audio/x-mpeg"];
    match &source.announced.content_type {
        _ if matches!(end, End::Foreign(_)) => end.to_string(),
        Some(said) if source.audio_bytes() == 0 && !understood.contains(&said.as_str()) => {
            format!("{end}; it said to send {said}: MP3 and AAC (ADTS) are understood")
        }
        _ if source.audio_bytes() == 0 && !matches!(end, End::NoAudio(_)) => {
            format!("{end}; no MP3 or AAC (ADTS) frame came")
        }
        _ => end.to_string(),
    }
}

fn with(source: &Source, mut shown: Value) -> Value {
    shown["uuid"] = json!(source.id);
    shown["dj"] = json!(source.dj);
    shown["bytes"] = json!(source.audio_bytes());
    shown
}
