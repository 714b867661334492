//! Ctrl-C and SIGTERM while changes are made.

#[cfg(test)]
mod tests;

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::style;

/// Exit status after a second signal.
const FAILED: i32 = 2;

/// Request of the operator to stop. The first Ctrl-C or SIGTERM sets it, the second ends the process
/// at once.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to both signals until the process ends.
    ///
    /// # Errors
    ///
    /// The handlers of the signals cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (terminate, interrupt) = {
            let _context = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        let this = Self::default();
        let flag = this.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(flag.follow(terminate, interrupt)))?;
        Ok(this)
    }

    /// Returns true after the first signal.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    async fn follow(self, mut terminate: Signal, mut interrupt: Signal) {
        next(&mut terminate, &mut interrupt).await;
        self.0.store(true, Ordering::Relaxed);
        style::note("stopping after the current batch of changes; a second Ctrl-C ends at once");
        next(&mut terminate, &mut interrupt).await;
        style::error(
            "ended at once: the current batch may be applied in part; run the command again to finish",
        );
        process::exit(FAILED);
    }
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
