//! Streams, mounts and sources in the shapes of the original's API.

use audio::{Format, Time};
use rewind::Log;
use serde_json::{Value, json};
use wire::metadata::clean;

use crate::admin::Admin;
use crate::base::clock::iso;
use crate::mount::Mount;
use crate::source::{Origin, Source};
use crate::stream::Stream;

/// A stream's status.
pub fn stream(admin: &Admin, stream: &Stream) -> Value {
    json!({
        "key": stream.key(),
        "id": stream.id(),
        "vitals": stream.log().format().map(|format| vitals(admin, format)),
        "source": mount(stream.mount()),
        "rewind": rewind(stream.log()),
        "listeners": stream.listeners(),
        "hls_listeners": admin.hls.listeners(stream, admin.clock.mono()),
        "lost_batches": stream.lost_batches(),
        "kbytes_sent": stream.sent_bytes() / 1024,
        "metadata": metadata(&stream.log().metadata()),
    })
}

/// A mount's status, with the name of the DJ who is on air, if one is.
pub fn mount(mount: &Mount) -> Value {
    let line = mount.line();
    let sources: Vec<Value> = line.iter().map(|it| source(it)).collect();
    let mut shown = json!({ "key": mount.key(), "sources": sources });
    if let Some(dj) = mount.on_air().and_then(|source| source.dj.clone()) {
        shown["dj"] = json!(dj);
    }
    shown
}

/// Metadata as the original answers it.
pub fn metadata(metadata: &wire::icy::Metadata) -> Value {
    json!({ "StreamTitle": metadata.title, "StreamUrl": metadata.url })
}

fn source(source: &Source) -> Value {
    let mut shown = json!({
        "source": source.to_string(),
        "connected": source.is_connected(),
        "url": source.to_string(),
        "streamKey": source.format().map(|format| format.stream_key()),
        "uuid": source.id,
        "last_ts": iso(source.last_audio()),
        "connected_at": iso(source.connected_at),
        "bytes": source.audio_bytes(),
    });
    match &source.origin {
        Origin::Icecast { agent, .. } | Origin::Shoutcast { agent, .. } => {
            let announced = &source.announced;
            shown["dj"] = json!(source.dj);
            shown["agent"] = json!(clean(agent));
            shown["announced"] = json!({
                "name": announced.name,
                "genre": announced.genre,
                "url": announced.url,
                "description": announced.description,
                "content_type": announced.content_type,
            });
        }
        Origin::File(_) | Origin::Programme | Origin::Proxy(_) => {}
    }
    if source.is_fallback() {
        shown["isFallback"] = json!(true);
    }
    shown
}

fn vitals(admin: &Admin, format: Format) -> Value {
    json!({
        "streamKey": format.stream_key(),
        "framesPerSec": f64::from(format.sample_rate_hz) / f64::from(format.samples_per_frame()),
        "emitDuration": admin.chunk.as_secs_f64(),
    })
}

fn rewind(log: &Log) -> Value {
    let (span, segments) = (log.span(), log.segments());
    let at = |time: Option<Time>| time.map(iso);
    json!({
        "buffer_length": span.map_or(0.0, |span| span.end.micros_since(span.start) as f64 / 1e6),
        "first_buffer_ts": at(span.map(|span| span.start)),
        "last_buffer_ts": at(span.map(|span| span.end)),
        "hls_segments": segments.map_or(0, |segments| segments.count),
        "hls_first_seg_id": segments.map(|segments| segments.first.0),
        "hls_first_seg_ts": at(segments.map(|segments| segments.first_time)),
        "hls_last_seg_id": segments.map(|segments| segments.last.0),
        "hls_last_seg_ts": at(segments.map(|segments| segments.last_time)),
    })
}
