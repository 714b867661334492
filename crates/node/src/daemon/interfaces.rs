//! Sends the loop an event when an interface of the node changes.

use std::thread;
use std::time::Duration;

use kernel::linux::{AddressWatch, Changes, DeviceLosses, LostAddresses, WatchStop, Watched};
use model::chain;
use tracing::warn;

use crate::mailbox::NodeEvents;

/// Time to wait after the watch failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches the interfaces until the returned value is dropped. Returns `None` if the watch cannot
/// be opened; then the next audit detects changes.
pub(super) fn watch(events: NodeEvents) -> Option<WatchStop> {
    let (watch, stop) = match AddressWatch::open() {
        Ok(opened) => opened,
        Err(problem) => {
            warn!(
                "failed to watch the interfaces: {}; changes are detected by the next audit",
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
                warn!("failed to watch the interfaces: {problem}; reading all of them again");
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

/// Returns every possible change, for the time in which the watch did not work.
fn anything() -> Changes {
    Changes {
        interfaces: true,
        lost: DeviceLosses {
            addresses: LostAddresses::Many,
            ..DeviceLosses::default()
        },
    }
}
