//! All mounts by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::mount::Mount;

/// All mounts by key; exact matches only.
#[derive(Debug, Default)]
pub struct Registry {
    mounts: RwLock<BTreeMap<String, Arc<Mount>>>,
}

impl Registry {
    /// The mount with exactly this key.
    pub fn find(&self, key: &str) -> Option<Arc<Mount>> {
        self.mounts.read().get(key).cloned()
    }

    /// Adds a mount under its key, in place of one that had it.
    pub fn insert(&self, mount: Arc<Mount>) {
        self.mounts.write().insert(mount.key().to_owned(), mount);
    }

    /// All mounts in the order of their keys.
    pub fn all(&self) -> Vec<Arc<Mount>> {
        self.mounts.read().values().cloned().collect()
    }
}
