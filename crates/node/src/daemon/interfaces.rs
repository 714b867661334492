//! Tells the loop at once when an interface of the node changes.

use std::thread;
use std::time::Duration;

use kernel::linux::{AddressWatch, WatchStop, Watched};
use model::chain;
use tokio::sync::mpsc;
use tracing::warn;

use reconciler::Event;

/// How long to wait after the watch failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches the interfaces until the answer is dropped. None where that cannot be done: then changes are
/// seen at the next audit.
pub(super) fn watch(events: mpsc::UnboundedSender<Event>) -> Option<WatchStop> {
    let (watch, stop) = match AddressWatch::open() {
        Ok(opened) => opened,
        Err(problem) => {
            warn!(
                "changes of interfaces are seen at the next audit only: {}",
                chain(&problem)
            );
            return None;
        }
    };
    thread::spawn(move || follow(watch, &events));
    Some(stop)
}

fn follow(mut watch: AddressWatch, events: &mpsc::UnboundedSender<Event>) {
    loop {
        match watch.wait() {
            Ok(Watched::Stopped) => return,
            Ok(Watched::Changed) => {}
            Err(problem) => {
                warn!("failed to watch the interfaces: {problem}");
                thread::sleep(PAUSE);
            }
        }
        if events.send(Event::NodeChanged).is_err() {
            return;
        }
    }
}
