//! What a reload of the configuration replaces while everything runs.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

/// A value that is replaced whole. Cheap to clone: all clones see the newest, and whoever has read one keeps what was read.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// One that holds `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// What it holds now.
    pub fn now(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Puts `value` in its place, for all clones at once.
    pub fn replace(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}
