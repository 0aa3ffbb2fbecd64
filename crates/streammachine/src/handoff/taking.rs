//! What the old process gave becomes mounts, sources and listeners again.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rewind::Feed;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::base::net::{Accepted, Role};
use crate::handoff::channel::Channel;
use crate::handoff::message::Part;
use crate::handoff::take::{Given, GivenSource};
use crate::http::App;
use crate::http::front::{Guests, Port};
use crate::listener::delivery::{Listener, ListenerState};
use crate::mount::door::{Door, PausedSource, limits_of};
use crate::mount::registry::Registry;
use crate::source::Source;
use crate::source::reader::Reader;

/// Restores mounts with their sources, which are read on when this process serves.
pub async fn restore_mounts(mounts: &Registry, given: &mut Given) -> Vec<PausedSource> {
    let sources = std::mem::take(&mut given.sources).into_iter();
    let paused: Vec<PausedSource> = sources.filter_map(|source| wake(mounts, source)).collect();
    let known = paused.iter().filter(|paused| paused.is_known);
    let by_id: HashMap<Uuid, &Arc<Source>> = known.map(|it| (it.source.id, &it.source)).collect();
    for (key, handed) in given.mounts.drain() {
        let Some(mount) = mounts.find(&key) else { continue };
        let sources: Vec<Arc<Source>> = handed
            .state
            .sources
            .iter()
            .filter_map(|id| by_id.get(id).map(|source| Arc::clone(source)))
            .collect();
        mount.restore(handed, sources).await;
    }
    paused
}

/// A source that was given, ready to be read on.
fn wake(mounts: &Registry, given: GivenSource) -> Option<PausedSource> {
    let GivenSource { mount, source, reader, is_known, socket } = given;
    let source = Source::resume(source);
    let Some(found) = mounts.find(&mount) else {
        tracing::warn!(mount, source = %source, "the mount of a source is configured no more: it is closed");
        return None;
    };
    let read_on = || -> io::Result<Reader<TcpStream>> {
        Ok(Reader::resume(stream_of(socket)?, serde_json::from_value(reader)?, limits_of(&found)))
    };
    match read_on() {
        Ok(reader) => Some(PausedSource { mount, source, reader, is_known }),
        Err(error) => {
            tracing::error!(mount, source = %source, %error, "a source could not be taken over: it is closed");
            None
        }
    }
}

/// Gives listeners their places again; they are sent nothing before they are admitted.
pub fn readmit(app: &App, given: &mut Given) -> Vec<Listener> {
    let all = given.listeners.len();
    let listeners: Vec<Listener> =
        given.listeners.drain(..).filter_map(|(state, socket)| resume(app, state, socket)).collect();
    for (key, stream) in given.streams.drain() {
        if let Some(found) = app.streams.find(&key) {
            app.roster.remember(&found, stream.history);
        }
    }
    if listeners.len() < all {
        let closed = all - listeners.len();
        tracing::warn!(closed, "listeners without a stream or a seat were closed");
    }
    listeners
}

fn resume(app: &App, state: ListenerState, socket: OwnedFd) -> Option<Listener> {
    let stream = app.streams.find(&state.stream)?;
    let destination = state.destination.as_ref().and_then(|key| app.streams.find(key));
    let hearing = app.roster.readmit(&stream, app.audience.seat()?, &state.hearing);
    let feed = Feed::resume(stream.log(), state.feed.clone());
    Some(Listener::resume(socket, feed, hearing, destination, &state))
}

/// What serves the connections that the old process still has.
#[derive(Debug)]
pub struct Host {
    listeners: Guests,
    api: Guests,
    door: Arc<Door>,
    mounts: Arc<Registry>,
    heads: Arc<Semaphore>,
}

impl Host {
    /// `heads` bounds the connections whose heads are read; `api_port` tells that the API has a port of its own.
    pub fn new(app: &Arc<App>, door: &Arc<Door>, heads: &Arc<Semaphore>, api_port: bool) -> Self {
        Host {
            listeners: Guests::new(app, Port::Listeners { api: !api_port }),
            api: Guests::new(app, Port::Api),
            door: Arc::clone(door),
            mounts: Arc::clone(&app.admin.mounts),
            heads: Arc::clone(heads),
        }
    }

    /// Serves them as they come through `channel`, in a thread of its own.
    pub fn take_strays(self, mut channel: Channel) {
        let runtime = Handle::current();
        let take = move || {
            loop {
                let (part, files) = match channel.receive::<Part>() {
                    Ok(received) => received,
                    // It ends when the old process does.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
                    Err(error) => {
                        return tracing::warn!(%error, "connections that the old process still has are lost");
                    }
                };
                let Some(socket) = files.into_iter().next() else { continue };
                if let Err(error) = runtime.block_on(self.take_stray(part, socket)) {
                    tracing::warn!(%error, "a connection of the old process was lost");
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("handoff".to_owned()).spawn(take) {
            tracing::warn!(%error, "connections that the old process still has are lost");
        }
    }

    async fn take_stray(&self, part: Part, socket: OwnedFd) -> io::Result<()> {
        match part {
            Part::Source { mount, source, reader, is_known } => {
                let given = GivenSource { mount, source: *source, reader, is_known, socket };
                if let Some(paused) = wake(&self.mounts, given) {
                    self.door.resume(paused).await;
                }
            }
            Part::Connection { role, peer, bytes, is_kept } => {
                let guests = match role {
                    Role::Listeners => Some(&self.listeners),
                    Role::Api => Some(&self.api),
                    Role::Sources | Role::Shoutcast => None,
                };
                let socket = stream_of(socket)?;
                if let Some(guests) = guests.filter(|_| is_kept) {
                    guests.serve_kept(socket, peer, bytes);
                    return Ok(());
                }
                let permit = Arc::clone(&self.heads).acquire_owned().await.map_err(io::Error::other)?;
                let accepted = Accepted { socket, peer, first: bytes, permit };
                match guests {
                    Some(guests) => guests.serve(accepted),
                    None => Arc::clone(&self.door).serve_one(accepted),
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn stream_of(socket: OwnedFd) -> io::Result<TcpStream> {
    let socket = std::net::TcpStream::from(socket);
    socket.set_nonblocking(true)?;
    TcpStream::from_std(socket)
}
