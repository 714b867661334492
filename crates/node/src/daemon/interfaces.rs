//! Sends the loop an event when an interface of the node changes.

use std::thread;
use std::time::Duration;

use kernel::linux::{AddressWatch, Changes, Lost, LostAddresses, WatchStop, Watched};
use model::chain;
use tracing::warn;

use crate::mailbox::NodeEvents;

/// Time to wait after the watch failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches the interfaces until the answer is dropped. None where that cannot be done: then changes are
/// seen at the next audit.
pub(super) fn watch(events: NodeEvents) -> Option<WatchStop> {
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

fn follow(mut watch: AddressWatch, events: &NodeEvents) {
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
        report(events, changes);
    }
}

fn report(events: &NodeEvents, Changes { interfaces, lost }: Changes) {
    if interfaces {
        events.interfaces_changed();
    }
    match lost.addresses {
        LostAddresses::Many => events.lost(true, []),
        LostAddresses::These(addresses) if lost.device || !addresses.is_empty() => {
            events.lost(lost.device, addresses);
        }
        LostAddresses::These(_) => {}
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
