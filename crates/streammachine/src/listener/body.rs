//! A feed as the body of an HTTP response: for whoever cannot be on the fast path.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use rewind::{Feed, Pieces, Turn};

use crate::base::clock::Clock;
use crate::listener::Hearing;

/// Bytes taken from the feed at once; the HTTP server holds no more than this of one listener.
const TURN_BYTES: usize = 64 * 1024;

struct Body {
    feed: Feed,
    hearing: Hearing,
    clock: Clock,
    tick: Duration,
    pieces: Pieces,
    ready: VecDeque<Bytes>,
}

/// The audio of `feed`, once a `tick`, without a copy.
pub fn stream(
    feed: Feed,
    hearing: Hearing,
    clock: Clock,
    tick: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let body = Body { feed, hearing, clock, tick, pieces: Pieces::default(), ready: VecDeque::new() };
    unfold(body, |mut body| async move { body.next().await.map(|item| (item, body)) })
}

impl Body {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.hearing.sent(bytes.len());
                return Some(Ok(bytes));
            }
            if self.hearing.is_dismissed() {
                return None;
            }
            self.hearing.tell(self.feed.position());
            match self.feed.fill(self.clock.steady(), TURN_BYTES, &mut self.pieces) {
                Turn::Ready => {
                    self.ready.extend(self.pieces.data().cloned());
                    self.feed.consume(&self.pieces, self.pieces.len_bytes());
                }
                Turn::Wait => tokio::time::sleep(self.tick).await,
                Turn::End => return None,
                Turn::Broken => return Some(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }
}
