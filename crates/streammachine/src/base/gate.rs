//! What must not happen while everything is given to another process: new listeners, new titles. Connections that come to
//! it too late are given away one by one.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock, RwLockWriteGuard, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::base::net::Stray;

/// Lets many in at once, unless it is closed: then they wait until it is open again, or until all has been given away.
#[derive(Debug)]
pub struct Gate {
    is_given_away: Arc<RwLock<bool>>,
    leaving: CancellationToken,
    strays: mpsc::UnboundedSender<Stray>,
    found: Mutex<mpsc::UnboundedReceiver<Stray>>,
    connections: watch::Sender<usize>,
}

/// Whoever is inside.
#[derive(Debug)]
pub struct Inside {
    _guard: OwnedRwLockReadGuard<bool>,
}

/// A request that is inside until it is answered; one that will change nothing can leave before.
#[derive(Clone, Debug)]
pub struct Visit(Arc<parking_lot::Mutex<Option<Inside>>>);

impl Visit {
    /// It begins.
    pub fn new(inside: Inside) -> Self {
        Visit(Arc::new(parking_lot::Mutex::new(Some(inside))))
    }

    /// Its answer may take as long as it likes: nobody waits for it any more.
    pub fn leave(&self) {
        *self.0.lock() = None;
    }
}

/// Marks an answer that says: ask the process that has taken over. The request goes there in its place, if it can.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere;

/// The gate is closed as long as this lives.
#[derive(Debug)]
pub struct Closed<'a> {
    guard: RwLockWriteGuard<'a, bool>,
    leaving: &'a CancellationToken,
}

/// Counts a connection as long as it lives.
#[derive(Debug)]
pub struct Connected<'a>(&'a watch::Sender<usize>);

impl Default for Gate {
    fn default() -> Self {
        let (strays, found) = mpsc::unbounded_channel();
        Gate {
            is_given_away: Arc::default(),
            leaving: CancellationToken::new(),
            strays,
            found: Mutex::new(found),
            connections: watch::Sender::new(0),
        }
    }
}

impl Gate {
    /// Waits while it is closed; none if all has been given away: then the connection is a stray.
    pub async fn enter(&self) -> Option<Inside> {
        let guard = Arc::clone(&self.is_given_away).read_owned().await;
        (!*guard).then_some(Inside { _guard: guard })
    }

    /// Closes it, when all who are inside have left.
    pub async fn close(&self) -> Closed<'_> {
        Closed { guard: self.is_given_away.write().await, leaving: &self.leaving }
    }

    /// Resolves when all has been given away.
    pub async fn given_away(&self) {
        self.leaving.cancelled().await;
    }

    /// A connection that came too late.
    pub fn stray(&self, stray: Stray) {
        // The other end is here too.
        let _ = self.strays.send(stray);
    }

    /// The next connection that came too late.
    pub async fn find_stray(&self) -> Option<Stray> {
        self.found.lock().await.recv().await
    }

    /// Counts a connection that may become a stray, or is served to its end.
    pub fn connected(&self) -> Connected<'_> {
        self.connections.send_modify(|count| *count += 1);
        Connected(&self.connections)
    }

    /// Resolves when no such connection is left.
    pub async fn is_empty(&self) {
        // The sender is ours.
        let _ = self.connections.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Closed<'_> {
    /// All has been given away: whoever waits is told so.
    pub fn give_away(mut self) {
        *self.guard = true;
        self.leaving.cancel();
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_hears_how_it_ended() {
        let gate = Gate::default();
        let inside = gate.enter().await;
        assert!(inside.is_some());
        drop(inside);
        let closed = gate.close().await;
        let (entered, ()) = tokio::join!(gate.enter(), async { drop(closed) });
        assert!(entered.is_some());
        drop(entered);
        let closed = gate.close().await;
        let (entered, ()) = tokio::join!(gate.enter(), async { closed.give_away() });
        assert!(entered.is_none());
        gate.given_away().await;
    }
}
