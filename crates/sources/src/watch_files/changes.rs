//! When to look at files again.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::notify::Notify;

const QUIET: Duration = Duration::from_millis(150);
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_PERIOD: Duration = Duration::from_secs(10);

/// Notices changes at a set of paths: of their content, of links that lead there, and of the `..data`
/// link through which a mounted ConfigMap is swapped.
///
/// Make it first and read then: what changes in between counts as a change.
pub struct Changes(Option<Notify>);

impl Changes {
    /// Watches `paths` as they are now. Where inotify is not to be had, a warning is logged, and ten
    /// seconds count as a change. Called within a runtime.
    #[must_use]
    pub fn at(paths: &[PathBuf]) -> Self {
        let notify = Notify::new(paths).map_err(|error| {
            tracing::warn!(error = %error, cause = %error.cause, "files are read every 10 s");
        });
        Self(notify.ok())
    }

    /// Returns once something has changed and then nothing for 150 ms, at the latest after 2 s of
    /// changes. Whether the content is another one is for the reader to see.
    pub async fn settled(self) {
        match self.0 {
            Some(notify) => wait_for_quiet(notify).await,
            None => sleep(POLL_PERIOD).await,
        }
    }
}

async fn wait_for_quiet(mut notify: Notify) {
    notify.changed().await;
    let patience = Instant::now() + OPEN_TIMEOUT;
    loop {
        let quiet = (Instant::now() + QUIET).min(patience);
        if timeout_at(quiet, notify.changed()).await.is_err() {
            return;
        }
    }
}
