//! SIGHUP: reads the configuration file again. Without a file it does nothing, where the default would end the daemon.

use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};

/// Catches SIGHUP from now on. Each one notifies `reload`; `None` where there is no configuration file.
pub(super) fn follow(runtime: &Handle, reload: Option<Arc<Notify>>) {
    let inside = runtime.enter();
    match catch() {
        Ok(hangups) => drop(runtime.spawn(pass_on(hangups, reload))),
        Err(problem) => warn!("SIGHUP cannot be caught and ends the daemon: {problem}"),
    }
    drop(inside);
}

fn catch() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

async fn pass_on(mut hangups: Signal, reload: Option<Arc<Notify>>) {
    while hangups.recv().await.is_some() {
        match &reload {
            Some(reload) => {
                info!("SIGHUP: reading the configuration file again");
                reload.notify_one();
            }
            None => info!("SIGHUP ignored: there is no configuration file (--config)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};
    use tokio::runtime::Runtime;
    use tokio::time::timeout;

    use super::*;

    /// Without the handler the signal ends the process of the tests.
    #[test]
    fn a_hangup_asks_for_a_reading() {
        let runtime = Runtime::new().expect("a runtime");
        let reload = Arc::new(Notify::new());
        follow(runtime.handle(), None);
        follow(runtime.handle(), Some(Arc::clone(&reload)));
        for _ in 0..2 {
            kill_process(getpid(), Signal::HUP).expect("a signal");
            let asked = async { timeout(Duration::from_secs(30), reload.notified()).await };
            runtime.block_on(asked).expect("a notification");
        }
    }
}
