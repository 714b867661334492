//! SIGHUP reloads the configuration file. Without a file it is ignored; the default action would
//! end the daemon.

use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};

/// Catches SIGHUP from now on. Each one notifies `reload`, which is `None` without a configuration
/// file.
pub(super) fn follow(runtime: &Handle, reload: Option<Arc<Notify>>) {
    let inside = runtime.enter();
    match catch() {
        Ok(hangups) => drop(runtime.spawn(pass_on(hangups, reload))),
        Err(problem) => warn!("failed to catch SIGHUP: {problem}; SIGHUP ends the daemon"),
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

    /// Without a handler the signal would end the process of the tests.
    #[test]
    fn each_hangup_notifies_reload() {
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
