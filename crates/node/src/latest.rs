//! A channel of capacity one. A new value replaces a value that was not taken yet.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sends values to a [`Receiver`]. Dropping the sender ends every wait of the receiver.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Slot<T>>);

/// Receives the values of a [`Sender`].
#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    ended: bool,
}

/// Returns the two ends of a slot without a value.
pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State {
        value: None,
        ended: false,
    };
    let slot = Arc::new(Slot {
        state: Mutex::new(state),
        changed: Condvar::new(),
    });
    (Sender(Arc::clone(&slot)), Receiver(slot))
}

impl<T> Sender<T> {
    /// Replaces the value.
    pub(crate) fn send(&self, value: T) {
        self.0.state().value = Some(value);
        self.0.changed.notify_all();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

impl<T> Receiver<T> {
    /// Waits for a value and takes it. Returns `None` once the sender is dropped.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.0.wait();
        if state.ended {
            None
        } else {
            state.value.take()
        }
    }

    /// Waits for a value and returns it, without taking it. Returns `None` once the sender is
    /// dropped.
    pub(crate) fn latest(&self) -> Option<T>
    where
        T: Clone,
    {
        let state = self.0.wait();
        if state.ended {
            None
        } else {
            state.value.clone()
        }
    }

    /// Puts a taken value back, unless there is a newer one.
    pub(crate) fn put_back(&self, value: T) {
        self.0.state().value.get_or_insert(value);
    }

    /// Waits for `time`, a value or the end of the sender. Returns true if there is no value.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let state = self.0.wait_at_most(time, |state| state.value.is_none());
        state.value.is_none()
    }

    /// Waits for `time` or the end of the sender.
    pub(crate) fn rest(&self, time: Duration) {
        drop(self.0.wait_at_most(time, |_| true));
    }
}

impl<T> Slot<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a value or the end of the sender.
    fn wait(&self) -> MutexGuard<'_, State<T>> {
        let idle = |state: &mut State<T>| state.value.is_none() && !state.ended;
        (self.changed.wait_while(self.state(), idle)).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `waits` holds, for at most `time` or until the end of the sender.
    fn wait_at_most(
        &self,
        time: Duration,
        waits: impl Fn(&State<T>) -> bool,
    ) -> MutexGuard<'_, State<T>> {
        let idle = |state: &mut State<T>| !state.ended && waits(state);
        let waited = self.changed.wait_timeout_while(self.state(), time, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
