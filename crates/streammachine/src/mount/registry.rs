//! All mounts by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::mount::Mount;
use crate::mount::history::History;

/// All mounts by key; exact matches only.
#[derive(Debug, Default)]
pub struct Registry {
    mounts: RwLock<BTreeMap<String, Arc<Mount>>>,
    default: Option<String>,
    strangers: History,
}

impl Registry {
    /// No mounts yet. Sources of SHOUTcast v1 that name none go to the mount with the key `default`, without one to the
    /// first.
    pub fn with_default(default: Option<String>) -> Self {
        Registry { default, ..Registry::default() }
    }

    /// The mount with exactly this key.
    pub fn find(&self, key: &str) -> Option<Arc<Mount>> {
        self.mounts.read().get(key).cloned()
    }

    /// The mount with this path.
    pub fn find_path(&self, path: &str) -> Option<Arc<Mount>> {
        self.find(path.strip_prefix('/').unwrap_or(path))
    }

    /// The mount with this number for SHOUTcast sources: the one that is configured so, else that many-th of all.
    pub fn find_number(&self, number: u16) -> Option<Arc<Mount>> {
        let mounts = self.mounts.read();
        let place = usize::from(number).checked_sub(1)?;
        let configured = mounts.values().find(|mount| mount.config().sid == Some(number));
        configured
            .or_else(|| mounts.values().nth(place).filter(|mount| mount.config().sid.is_none()))
            .cloned()
    }

    /// Where sources of SHOUTcast v1 go that name no mount.
    pub fn default_mount(&self) -> Option<Arc<Mount>> {
        self.default.as_deref().and_then(|key| self.find(key)).or_else(|| self.find_number(1))
    }

    /// Connections of sources to none of the mounts.
    pub fn strangers(&self) -> &History {
        &self.strangers
    }

    /// Adds a mount under its key, in place of one that had it.
    pub fn insert(&self, mount: Arc<Mount>) {
        self.mounts.write().insert(mount.key().to_owned(), mount);
    }

    /// Lets all mounts go on, as [`Mount::go_on`] says.
    pub async fn go_on(&self) {
        for mount in self.all() {
            mount.go_on().await;
        }
    }

    /// All mounts in the order of their keys.
    pub fn all(&self) -> Vec<Arc<Mount>> {
        self.mounts.read().values().cloned().collect()
    }
}
