//! What a listener means who asks for a programme: instants.

use audio::Time;
use wire::hls::CLOSED_MAX;
use wire::instant;
use wire::listen::{ListenQuery, Start};

use crate::base::clock::timestamp;
use crate::stream::Stream;
use crate::stream::programs::Program;

/// A programme that has begun just now, before its first audio has come, starts so long before the live edge: a few frames.
const NEWEST_US: i64 = 100_000;

/// Why a listener is not given the programme it asks for: there is no such one, or none of its audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub String);

/// `query` with the programme that it names, if it names one, made a start: its audio and what follows, or with `pump` all
/// of it and nothing else.
pub fn resolve(stream: &Stream, query: ListenQuery, now: Time) -> Result<ListenQuery, Missing> {
    let Some(wanted) = query.program.as_deref() else { return Ok(query) };
    let listed = stream.programs().list(now);
    let program = listed.find(wanted, now).ok_or_else(|| Missing(listed.missing(wanted)))?;
    let edge = stream.log().edge().time;
    if query.pump.is_none() {
        // What comes after the edge would be live, with a burst of what was before the programme.
        let newest = edge.plus_micros(-NEWEST_US);
        let start = if query.strict { program.start } else { program.start.min(newest) };
        return Ok(ListenQuery { start: Start::At(timestamp(start)), ..query });
    }
    // One that is still on goes as far as there is audio.
    let start = Start::At(timestamp(program.start));
    let end = program.end.map_or(edge, |end| end.min(edge));
    if end <= program.start {
        return Err(Missing(format!("nothing of {:?} is in the rewind buffer\n", program.name)));
    }
    Ok(ListenQuery { start, end: Some(timestamp(end)), pump: None, ..query })
}

/// Parameters of the playlist of a programme: its start, and its end if that is past. One that is longer than a closed
/// playlist may be goes on.
pub fn playlist_pairs(program: &Program, now: Time) -> Vec<(String, String)> {
    let longest_us = CLOSED_MAX.as_micros() as i64;
    let end = program.ended(now).filter(|end| end.micros_since(program.start) <= longest_us);
    let start = ("start".to_owned(), instant::encode(timestamp(program.start)));
    let end = end.map(|end| ("end".to_owned(), instant::encode(timestamp(end))));
    std::iter::once(start).chain(end).collect()
}
