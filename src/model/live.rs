//! A value that is exchanged as a whole while others read it: what a reload of the configuration changes.
//!
//! Whoever reads keeps what it has read for one decision; the next one sees the new value. Nobody waits.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// The present value of something that may be exchanged. Clones see the same value.
pub struct Live<T>(Arc<ArcSwap<T>>);

/// A value as it was when it was read. Good for one step: do not keep it in a struct.
pub struct Reading<T>(Guard<Arc<T>>);

impl<T> Live<T> {
    /// Begins with `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The present value, wait-free.
    #[must_use]
    pub fn read(&self) -> Reading<T> {
        Reading(self.0.load())
    }

    /// The present value, to be kept for longer than a step: for a connection, a task.
    #[must_use]
    pub fn snapshot(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// From now on everybody reads `value`.
    pub fn publish(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> Deref for Reading<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.load().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_stays_and_the_next_one_is_new() {
        let live = Live::new(1);
        let other = live.clone();
        let before = live.read();
        other.publish(2);
        assert_eq!((*before, *live.read(), *live.snapshot()), (1, 2, 2));
    }
}
