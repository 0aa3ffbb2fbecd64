//! Requests that are held until what they ask for is there: reloads of playlists, and the part that was hinted at. Each is
//! woken by the writing of the log, has a deadline, and takes one of a bounded number of places.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rewind::{Segment, SegmentSeq};
use tokio::time::timeout;
use wire::hls::{Container, HlsQuery};

use crate::hls::Hls;
use crate::hls::parts::{self, Place};
use crate::hls::playlist::lists_parts;
use crate::stream::Stream;

/// A request that waits is answered at the latest after so many target durations.
const BLOCK_TARGETS: u32 = 3;
/// A reload may wait for the segment so many after the newest.
const BLOCK_AHEAD: u64 = 2;

/// What became of a reload that might wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It asked for nothing special or for what does not grow any more, or no place was free: it is answered with what is
    /// there.
    AsItIs,
    /// What it waited for is there.
    There,
    /// It has not come.
    TooLate,
    /// It will come to the process that has taken over.
    Elsewhere,
    /// It asks for what is too far ahead of this newest segment.
    TooFar(u64),
}

/// Why a part is not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWait {
    /// Too many requests wait already, of all or of this client.
    Full,
    /// It will come to the process that has taken over.
    Elsewhere,
}

/// Holds the reload that `query` asks for, if it does, while its playlist grows: `open_for` tells for how long at most.
pub async fn reload(
    hls: &Hls,
    stream: &Arc<Stream>,
    query: &HlsQuery,
    client: IpAddr,
    open_for: impl Fn() -> Option<Duration>,
) -> Reload {
    let Some(segment) = query.blocks_for else { return Reload::AsItIs };
    let Some(open) = open_for() else { return Reload::AsItIs };
    let kept = hls.of(stream);
    let playlists = &kept.playlists;
    let part = query.blocks_for_part.filter(|_| lists_parts(query));
    let progress = playlists.progress(stream, query.container).unwrap_or_default();
    let is_far = part.is_some_and(|part| progress.is_far(segment, part));
    if is_far || segment > progress.whole.saturating_add(BLOCK_AHEAD) {
        return Reload::TooFar(progress.whole);
    }
    let Some(_place) = hls.held.take(client) else { return Reload::AsItIs };
    let wait = async {
        loop {
            let grew = stream.grew();
            let progress = playlists.progress(stream, query.container);
            if progress.is_some_and(|progress| progress.has(segment, part)) || open_for().is_none() {
                return;
            }
            grew.await;
        }
    };
    let patience = patience(hls, stream, query.container);
    tokio::select! {
        waited = timeout(patience.min(open), wait) => match waited {
            Ok(()) => Reload::There,
            Err(_) if open <= patience => Reload::AsItIs,
            Err(_) => Reload::TooLate,
        },
        () = hls.gate.given_away() => Reload::Elsewhere,
    }
}

/// The segment in which `part` of number `seq` is, once it is there; none if it does not come.
///
/// # Errors
/// It would have to wait, and cannot here.
pub async fn part(
    hls: &Hls,
    stream: &Arc<Stream>,
    (seq, part): (SegmentSeq, u64),
    client: IpAddr,
) -> Result<Option<Segment>, NoWait> {
    let log = stream.log();
    match parts::find(log, seq, part) {
        Place::There(segment) => return Ok(Some(segment)),
        Place::Missing => return Ok(None),
        Place::Next => {}
    }
    let _place = hls.held.take(client).ok_or(NoWait::Full)?;
    let wait = async {
        loop {
            let grew = stream.grew();
            match parts::find(log, seq, part) {
                Place::There(segment) => return Some(segment),
                Place::Missing => return None,
                Place::Next => grew.await,
            }
        }
    };
    tokio::select! {
        found = timeout(patience(hls, stream, Container::Fmp4), wait) => Ok(found.ok().flatten()),
        () = hls.gate.given_away() => Err(NoWait::Elsewhere),
    }
}

fn patience(hls: &Hls, stream: &Arc<Stream>, container: Container) -> Duration {
    hls.of(stream).playlists.target(stream, container) * BLOCK_TARGETS
}
