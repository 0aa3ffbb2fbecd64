//! Playlists of a programme: a redirect to the instants of its start and end, so that the playlist itself is one that all
//! share.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use wire::hls::HlsPath;
use wire::listen::ListenQuery;
use wire::path::encode_target;

use crate::base::clock;
use crate::hls::answer::{Asked, Context};
use crate::hls::group;
use crate::listener::program;
use crate::stream::Stream;

/// The answer to a request for a playlist with `program=`; none without it, and for what is no playlist of ours.
pub fn redirect(context: &Context<'_>, asked: &Asked<'_>, path: &HlsPath) -> Option<Response> {
    let wanted = asked.query.get("program")?;
    let streams: Vec<Arc<Stream>> = match path {
        HlsPath::Media(key) => context.streams.find(key).into_iter().collect(),
        HlsPath::Group(name) => group::members(&context.streams.all(), name),
        HlsPath::Init { .. } | HlsPath::Segment { .. } | HlsPath::Part { .. } => return None,
    };
    let first = streams.first()?;
    let now = context.clock.now().wall;
    // For what contradicts the programme.
    if let Err(error) = ListenQuery::decode(asked.query, clock::timestamp(now), context.zone) {
        return Some((StatusCode::BAD_REQUEST, format!("{error}\n")).into_response());
    }
    let no_store = (header::CACHE_CONTROL, "no-store".to_owned());
    // A programme may have been made for one stream of the group only.
    let found = streams.iter().find_map(|stream| stream.programs().list(now).find(wanted, now).cloned());
    let Some(found) = found else {
        let text = first.programs().list(now).missing(wanted);
        return Some((StatusCode::NOT_FOUND, [no_store], text).into_response());
    };
    let others = asked.query.pairs().filter(|(name, _)| *name != "program");
    let others = others.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pairs: Vec<_> = program::playlist_pairs(&found, now).into_iter().chain(others).collect();
    let location = encode_target(asked.path, &pairs);
    let text = format!("The playlist of that programme is at {location}\n");
    Some((StatusCode::FOUND, [(header::LOCATION, location), no_store], text).into_response())
}
