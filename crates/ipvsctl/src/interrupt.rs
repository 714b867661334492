//! Signals that end a command: SIGINT, SIGTERM and SIGHUP.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// True once the command is to end. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Interrupt {
    /// Handles the signals from now on.
    ///
    /// # Errors
    ///
    /// A handler cannot be installed.
    pub fn install() -> Result<Self, Error> {
        let interrupt = Self::default();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let mut signals = {
            let _context = runtime.enter();
            let kinds = [
                SignalKind::interrupt(),
                SignalKind::terminate(),
                SignalKind::hangup(),
            ];
            let signals: std::io::Result<Vec<_>> = kinds.into_iter().map(signal).collect();
            signals.map_err(Error::Runtime)?
        };
        let ended = interrupt.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
                futures::future::select_all(waits).await;
            });
            ended.set();
        });
        Ok(interrupt)
    }

    /// Ends the command.
    pub fn set(&self) {
        *self.lock() = true;
        self.shared.1.notify_all();
    }

    /// Returns true if the command is to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self.lock()
    }

    /// Waits for `limit`, or until the command is to end. Returns true in the second case.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        let waited = (self.shared.1).wait_timeout_while(self.lock(), limit, |ended| !*ended);
        let (ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *ended
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_command() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.wait(Duration::from_millis(1)));
        let other = interrupt.clone();
        thread::spawn(move || other.set());
        assert!(interrupt.wait(Duration::from_secs(60)));
        assert!(interrupt.is_set());
    }
}
