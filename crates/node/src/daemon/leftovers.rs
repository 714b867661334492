//! Leftovers of kube-proxy's other modes: reported, or deleted, once.

use std::thread::JoinHandle;

use kernel::linux::leftovers::Sweeper;
use kernel::linux::{IptablesBackend, StopSignal};
use model::{Name, chain};
use tracing::{error, info, warn};

use crate::health::Moment;
use crate::mailbox::NodeEvents;
use crate::run::Observer;
use reconciler::{Reconciler, Report};

/// Waits for the first synchronisation in which nothing failed: until then the leftovers may be what
/// serves. Then looks, in a thread of its own, since many rules take long.
pub(super) struct Leftovers {
    backend: IptablesBackend,
    node: Name,
    remove: bool,
    /// Receiver of reports; without one, the log.
    events: Option<NodeEvents>,
    stop: StopSignal,
    phase: Phase,
}

enum Phase {
    Waiting,
    /// A synchronisation has just ended well: that of all, if all was known.
    Synced,
    Begun(Option<JoinHandle<()>>),
}

impl Leftovers {
    /// Nothing is looked at yet. With `remove` they are deleted, else told: to `events`, as long as the loop runs. `stop` ends the search.
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
        let look = move || {
            let sweeper = Sweeper::open(backend).with_stop(stop);
            if remove {
                sweep(sweeper);
            } else {
                tell(sweeper, &node, events.as_ref());
            }
        };
        let thread = std::thread::Builder::new().name("leftovers".to_owned());
        let started = thread.spawn(look);
        if let Err(problem) = &started {
            warn!("leftovers of kube-proxy's other modes are not looked for: {problem}");
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

/// Waits for a search under way, which a stop ends: rules of a table are deleted together or not at all.
impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Phase::Begun(thread) = &mut self.phase
            && let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            error!("the search for leftovers of kube-proxy's other modes broke off");
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

fn tell(mut sweeper: Sweeper, node: &Name, events: Option<&NodeEvents>) {
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
            "leftovers of kube-proxy's other modes are not looked for: {}",
            chain(&problem)
        ),
    }
}
