//! Reports or deletes leftovers of kube-proxy's other modes, once.

use std::thread::JoinHandle;

use kernel::linux::leftovers::Sweeper;
use kernel::linux::{IptablesBackend, StopSignal};
use model::{Name, chain};
use tracing::{error, info, warn};

use crate::health::Moment;
use crate::mailbox::NodeEvents;
use crate::run::Observer;
use reconciler::{Reconciler, Report};

/// Waits for the first sync without failures, since the leftovers may serve traffic until then.
/// Then searches in a separate thread, since reading many rules takes long.
pub(super) struct Leftovers {
    backend: IptablesBackend,
    node: Name,
    remove: bool,
    /// Receiver of the finding; `None` writes it to the log.
    events: Option<NodeEvents>,
    stop: StopSignal,
    phase: Phase,
}

enum Phase {
    Waiting,
    /// A sync ended without failures. It was the first full sync if every list is complete.
    Synced,
    Begun(Option<JoinHandle<()>>),
}

impl Leftovers {
    /// Returns a search that has not begun. With `remove` it deletes leftovers, else it reports
    /// them to `events` or to the log. `stop` ends the search.
    pub(super) fn new(
        backend: IptablesBackend,
        node: Name,
        remove: bool,
        events: Option<NodeEvents>,
        stop: StopSignal,
    ) -> Self {
        Self {
            backend,
            node,
            remove,
            events,
            stop,
            phase: Phase::Waiting,
        }
    }

    fn begin(&self) -> Option<JoinHandle<()>> {
        let (backend, node, remove) = (self.backend, self.node.clone(), self.remove);
        let (events, stop) = (self.events.clone(), self.stop.clone());
        let search = move || {
            let sweeper = Sweeper::open(backend).with_stop(stop);
            if remove {
                sweep(sweeper);
            } else {
                report(sweeper, &node, events.as_ref());
            }
        };
        let thread = std::thread::Builder::new().name("leftovers".to_owned());
        let started = thread.spawn(search);
        if let Err(problem) = &started {
            warn!(
                "failed to start the search for leftovers of kube-proxy's other modes: {problem}"
            );
        }
        started.ok()
    }
}

impl Observer for Leftovers {
    fn reported(&mut self, report: &Report, _now: Moment) {
        if let (Phase::Waiting, Report::Synced { failed: 0, .. }) = (&self.phase, report) {
            self.phase = Phase::Synced;
        }
    }

    fn idle(&mut self, reconciler: &Reconciler, _now: Moment) {
        if matches!(self.phase, Phase::Synced) {
            self.phase = match reconciler.cluster().is_complete() {
                true => Phase::Begun(self.begin()),
                false => Phase::Waiting,
            };
        }
    }
}

/// Waits until a running search has ended; a stop ends it early. The rules of a table are deleted
/// together or not at all.
impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Phase::Begun(thread) = &mut self.phase
            && let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            error!("the search for leftovers of kube-proxy's other modes panicked");
        }
    }
}

fn sweep(mut sweeper: Sweeper) {
    match sweeper.sweep() {
        Ok(found) if found.is_empty() => {
            info!("kube-proxy's other modes left nothing on this node");
        }
        Ok(found) => info!("deleted what kube-proxy left behind: {found}"),
        Err(problems) => {
            for problem in problems {
                error!("{}", chain(&problem));
            }
        }
    }
}

fn report(mut sweeper: Sweeper, node: &Name, events: Option<&NodeEvents>) {
    match sweeper.find() {
        Ok(found) => {
            let Some(finding) = found.finding(node) else {
                return;
            };
            match events {
                Some(events) => events.found(finding),
                None => warn!("{finding}"),
            }
        }
        Err(problem) => warn!(
            "failed to search for leftovers of kube-proxy's other modes: {}; kube-ipvsd searches again after a restart",
            chain(&problem)
        ),
    }
}
