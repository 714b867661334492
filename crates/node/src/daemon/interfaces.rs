//! Sends the loop an event when an interface of the node changes.

use std::thread;
use std::time::Duration;

use kernel::linux::{AddressWatch, Changes, Lost, LostAddresses, WatchStop, Watched};
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
        let changes = match watch.wait() {
            Ok(Watched::Stopped) => return,
            Ok(Watched::Changed(changes)) => changes,
            Err(problem) => {
                warn!("failed to watch the interfaces: {problem}");
                thread::sleep(PAUSE);
                anything()
            }
        };
        let events_of = [
            changes.interfaces.then_some(Event::NodeChanged),
            lost(changes.lost),
        ];
        for event in events_of.into_iter().flatten() {
            if events.send(event).is_err() {
                return;
            }
        }
    }
}

/// Changes while the watch did not work: any.
fn anything() -> Changes {
    Changes {
        interfaces: true,
        lost: Lost {
            addresses: LostAddresses::Many,
            ..Lost::default()
        },
    }
}

/// The event of losses of the dummy device. The loop has none yet: the next audit finds them.
fn lost(_lost: Lost) -> Option<Event> {
    None
}
