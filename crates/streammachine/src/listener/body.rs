//! A feed as the body of an HTTP response: for whoever cannot be on the fast path.
//!
//! The HTTP server asks for more only when the socket has taken what it has. So whether a listener is too slow is seen
//! by a watch beside the body, which cuts the connection.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use parking_lot::Mutex;
use rewind::{Feed, Pieces, Turn};
use tokio_util::sync::CancellationToken;

use crate::base::clock::Clock;
use crate::base::task;
use crate::listener::Hearing;

/// Bytes taken from the feed at once; the HTTP server holds no more than this of one listener.
const TURN_BYTES: usize = 64 * 1024;

/// Ends a connection in the middle of an answer.
#[derive(Clone, Debug, Default)]
pub struct Cut(pub CancellationToken);

struct Body {
    listener: Arc<Mutex<Listener>>,
    clock: Clock,
    tick: Duration,
    ready: VecDeque<Bytes>,
}

struct Listener {
    feed: Feed,
    hearing: Hearing,
    pieces: Pieces,
}

/// The audio of `feed`, once a `tick`, without a copy. A listener that is too slow is `cut`.
pub fn stream(
    feed: Feed,
    hearing: Hearing,
    clock: Clock,
    tick: Duration,
    cut: Cut,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let unpaced = feed.is_unpaced();
    let listener = Arc::new(Mutex::new(Listener { feed, hearing, pieces: Pieces::default() }));
    if !unpaced {
        task::spawn("watch on a listener", watch(Arc::downgrade(&listener), clock, tick, cut));
    }
    let body = Body { listener, clock, tick, ready: VecDeque::new() };
    unfold(body, |mut body| async move { body.next().await.map(|item| (item, body)) })
}

async fn watch(listener: Weak<Mutex<Listener>>, clock: Clock, tick: Duration, cut: Cut) {
    loop {
        tokio::time::sleep(tick).await;
        let Some(listener) = listener.upgrade() else { return };
        let listener = listener.lock();
        if listener.hearing.is_dismissed() {
            cut.0.cancel();
            return;
        }
        if listener.hearing.is_too_slow(listener.feed.due_bytes(clock.steady())) {
            listener.hearing.note_slow();
            cut.0.cancel();
            return;
        }
    }
}

impl Body {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.listener.lock().hearing.sent(bytes.len());
                return Some(Ok(bytes));
            }
            if self.listener.lock().hearing.is_dismissed() {
                return None;
            }
            match self.fill() {
                Turn::Ready => {}
                Turn::Wait => tokio::time::sleep(self.tick).await,
                Turn::End => return None,
                Turn::Broken => return Some(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    fn fill(&mut self) -> Turn {
        let Listener { feed, pieces, hearing } = &mut *self.listener.lock();
        hearing.tell(feed.position());
        let turn = feed.fill(self.clock.steady(), TURN_BYTES, pieces);
        if turn == Turn::Ready {
            self.ready.extend(pieces.data().cloned());
            feed.consume(pieces, pieces.len_bytes());
        }
        turn
    }
}
