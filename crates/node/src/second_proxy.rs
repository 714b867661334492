//! Detects another program that writes this node's tables, most likely a kube-proxy that started
//! after kube-ipvsd.
//!
//! The check at start ([`sources::proxy`]) cannot detect it. There are four [`Sign`]s. Three are
//! checked every [`PERIOD`] outside the loop; the fourth comes from repairs of the loop's audits.
//! Each sign is a separate finding (KIV0410) and a metric. A sign does not stop kube-ipvsd, since a
//! user's process may cause a false one.

mod look;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Code, Finding, Name, ObjectName, chain};
use reconciler::{Reconciler, Report, Trigger};
use sources::config::Resolved;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use self::look::Look;
use self::writes::Writes;
use crate::health::Moment;
use crate::mailbox::NodeEvents;
use crate::metrics::Metrics;
use crate::run::Observer;

/// Time between two checks.
const PERIOD: Duration = Duration::from_secs(30);

/// Time for which a sign holds after it was last seen. It limits the Events about a sign that
/// appears repeatedly.
const HOLD: Duration = Duration::from_secs(300);

/// A sign of a second program that writes the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// A service proxy answers at kube-proxy's health or metrics port.
    Listener,
    /// A process of root in this network namespace has the name kube-proxy. The check needs the
    /// host's processes in `/proc`.
    Process,
    /// A table of kube-proxy's nftables mode was created since kube-ipvsd started.
    Table,
    /// Consecutive audits repair entries of kube-ipvsd.
    Writes,
}

impl Sign {
    /// Every sign.
    pub const ALL: [Self; 4] = [Self::Listener, Self::Process, Self::Table, Self::Writes];

    /// Returns the name in metrics and findings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Process => "process",
            Self::Table => "table",
            Self::Writes => "writes",
        }
    }
}

/// Signs that hold at the moment.
#[derive(Debug)]
struct Signs {
    node: Name,
    events: NodeEvents,
    metrics: Arc<Metrics>,
    held: BTreeMap<Sign, Held>,
}

#[derive(Debug)]
struct Held {
    finding: Finding,
    seen: Instant,
}

impl Signs {
    /// Records `sign`. A sign that holds already keeps its first text, so that it is reported once.
    fn see(&mut self, sign: Sign, problem: String, now: Instant) {
        if let Some(held) = self.held.get_mut(&sign) {
            held.seen = now;
            return;
        }
        let finding = Finding {
            code: Code::SecondProxy,
            kind: "Node",
            object: ObjectName::new("", self.node.clone()),
            field: sign.name().to_owned(),
            problem,
            consequence: "two programs that write the same tables undo each other's work; each audit of kube-ipvsd repairs its \
                          entries; remove kube-proxy from this node"
                .to_owned(),
        };
        self.events.found(finding.clone());
        self.metrics.second_proxy(sign, true);
        self.held.insert(sign, Held { finding, seen: now });
    }

    /// Ends the signs that were not seen for [`HOLD`].
    fn expire(&mut self, now: Instant) {
        let ended = |held: &Held| now.saturating_duration_since(held.seen) >= HOLD;
        for (sign, held) in self.held.extract_if(.., |_, held| ended(held)) {
            self.events.gone(held.finding);
            self.metrics.second_proxy(sign, false);
        }
    }
}

/// Observes repairs of the loop, and shares the signs with [`Self::follow`].
#[derive(Debug)]
pub struct SecondProxyWatch {
    signs: Arc<Mutex<Signs>>,
    writes: Writes,
    /// True if the sync under way repaired an entry.
    repaired: bool,
    sync_period: Duration,
}

impl SecondProxyWatch {
    /// Returns a watch without signs. It sends findings about `node` to `events`.
    #[must_use]
    pub fn new(
        node: Name,
        sync_period: Duration,
        events: NodeEvents,
        metrics: Arc<Metrics>,
    ) -> Self {
        let signs = Signs {
            node,
            events,
            metrics,
            held: BTreeMap::new(),
        };
        Self {
            signs: Arc::new(Mutex::new(signs)),
            writes: Writes::default(),
            repaired: false,
            sync_period,
        }
    }

    /// Checks the node for signs every 30 s until the future is dropped. The checked ports include
    /// those of `config`.
    pub fn follow(
        &self,
        config: watch::Receiver<Arc<Resolved>>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let signs = Arc::clone(&self.signs);
        async move {
            let mut look = Look::default();
            loop {
                let ports = look::ports(&config.borrow().settings);
                let looked = spawn_blocking(move || {
                    let found = look.look(&ports);
                    (look, found)
                });
                let Ok((next, found)) = looked.await else {
                    warn!(
                        "the check for a second proxy on this node panicked; restart kube-ipvsd to check again"
                    );
                    return;
                };
                look = next;
                {
                    let mut signs = lock(&signs);
                    let now = Instant::now();
                    for (sign, seen) in found {
                        match seen {
                            Ok(problem) => signs.see(sign, problem, now),
                            Err(error) => {
                                debug!(
                                    sign = sign.name(),
                                    "failed to check for a second proxy: {}",
                                    chain(&*error)
                                );
                            }
                        }
                    }
                    signs.expire(now);
                }
                tokio::time::sleep(PERIOD).await;
            }
        }
    }
}

impl Observer for SecondProxyWatch {
    fn reported(&mut self, report: &Report, now: Moment) {
        match report {
            Report::Drift(_) => self.repaired = true,
            Report::Synced { trigger, .. } => {
                let repaired = std::mem::take(&mut self.repaired);
                let is_audit = *trigger == Trigger::Audit;
                if (repaired || is_audit)
                    && (self.writes).looked(repaired, self.sync_period, now.instant)
                {
                    let problem = "another program changes entries of kube-ipvsd: consecutive audits repair some".to_owned();
                    lock(&self.signs).see(Sign::Writes, problem, now.instant);
                }
            }
            _ => {}
        }
    }

    fn idle(&mut self, reconciler: &Reconciler, _now: Moment) {
        self.sync_period = reconciler.config().sync_period;
    }
}

fn lock(signs: &Mutex<Signs>) -> MutexGuard<'_, Signs> {
    signs.lock().unwrap_or_else(PoisonError::into_inner)
}
