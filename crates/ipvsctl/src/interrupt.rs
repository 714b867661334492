//! Signals that end a command: SIGINT, SIGTERM and SIGHUP.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use std::{process, thread};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// Exit status after a second signal.
pub const ENDED_AT_ONCE: i32 = 2;

/// Maximum time of the last action after a second signal. A terminal or a pipe that accepts no
/// output would otherwise delay the end forever.
const LAST_ACTION: Duration = Duration::from_secs(1);

/// True once the command is to end. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Interrupt {
    /// Handles the signals from now on. The first one ends the command at its next check, and calls
    /// `first`. The second one calls `second` and ends the process with [`ENDED_AT_ONCE`], also if
    /// a reading or an output hangs.
    ///
    /// # Errors
    ///
    /// A handler cannot be installed.
    pub fn install(
        first: impl FnOnce() + Send + 'static,
        second: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
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
            let mut wait = || {
                runtime.block_on(async {
                    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
                    futures::future::select_all(waits).await;
                });
            };
            wait();
            ended.set();
            thread::spawn(first);
            wait();
            within(LAST_ACTION, second);
            process::exit(ENDED_AT_ONCE);
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

/// Runs `action`, and returns once it has ended or `limit` is over.
fn within(limit: Duration, action: impl FnOnce() + Send + 'static) {
    let (sender, ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        action();
        drop(sender);
    });
    // The sender is dropped at the end of the action, also if it panics.
    let _ = ended.recv_timeout(limit);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[test]
    fn a_signal_ends_the_command_and_not_the_process() {
        let interrupt = Interrupt::install(|| {}, || {}).expect("handlers");
        assert!(!interrupt.is_set());
        kill_process(getpid(), Signal::TERM).expect("a signal");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !interrupt.is_set() {
            assert!(Instant::now() < deadline, "the signal did not arrive");
            thread::sleep(Duration::from_millis(5));
        }
    }

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
