//! All streams by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::stream::Stream;

/// All streams by key; exact matches only.
#[derive(Debug, Default)]
pub struct Registry {
    streams: RwLock<BTreeMap<String, Arc<Stream>>>,
}

impl Registry {
    /// The stream with exactly this key.
    pub fn find(&self, key: &str) -> Option<Arc<Stream>> {
        self.streams.read().get(key).cloned()
    }

    /// The stream that is served at `/`.
    pub fn find_root(&self) -> Option<Arc<Stream>> {
        self.streams.read().values().find(|stream| stream.config().root_route).cloned()
    }

    /// Adds a stream under its key.
    pub fn insert(&self, stream: Arc<Stream>) {
        self.streams.write().insert(stream.key().to_owned(), stream);
    }

    /// All streams in the order of their keys.
    pub fn all(&self) -> Vec<Arc<Stream>> {
        self.streams.read().values().cloned().collect()
    }
}
