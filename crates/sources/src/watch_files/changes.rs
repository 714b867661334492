//! Detects changes of files.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::notify::Notify;

/// Time without further changes after which a change is settled.
const QUIET: Duration = Duration::from_millis(150);

/// Maximum time until constant changes count as settled.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Time between two readings without inotify.
const POLL_PERIOD: Duration = Duration::from_secs(10);

/// Detects changes at a set of paths: of their contents, of links to them, and of the `..data` link
/// that an update of a mounted ConfigMap replaces.
///
/// Create it before reading the files, so that no change is missed.
pub struct Changes(Option<Notify>);

impl Changes {
    /// Watches `paths`. If inotify fails, logs a warning and reports a change every ten seconds.
    /// Must be called within a runtime.
    #[must_use]
    pub fn at(paths: &[PathBuf]) -> Self {
        let notify = Notify::new(paths).map_err(|error| {
            tracing::warn!(error = %error, cause = %error.cause, "inotify cannot be used: files are read every 10 s");
        });
        Self(notify.ok())
    }

    /// Waits for a change and then until nothing has changed for 150 ms, at most 2 s. The contents
    /// may still be the same.
    pub async fn settled(self) {
        match self.0 {
            Some(notify) => wait_for_quiet(notify).await,
            None => sleep(POLL_PERIOD).await,
        }
    }
}

async fn wait_for_quiet(mut notify: Notify) {
    notify.changed().await;
    let deadline = Instant::now() + OPEN_TIMEOUT;
    loop {
        let quiet = (Instant::now() + QUIET).min(deadline);
        if timeout_at(quiet, notify.changed()).await.is_err() {
            return;
        }
    }
}
