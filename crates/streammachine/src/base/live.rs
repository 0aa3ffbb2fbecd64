//! Values that are replaced while others use them.

use std::sync::Arc;

use parking_lot::RwLock;

/// A value that is replaced as a whole; clones share it.
#[derive(Debug)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    /// A value to start with.
    pub fn new(value: T) -> Self {
        Live(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// The value at this moment; it stays as it is for whoever holds it.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read())
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        *self.0.write() = Arc::new(value);
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Live(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_is_set_and_holders_keep_what_they_have() {
        let live = Live::new(1);
        let (other, held) = (live.clone(), live.get());
        live.set(2);
        assert_eq!((*other.get(), *held), (2, 1));
    }
}
