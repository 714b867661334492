//! Effects of a take-over of a node by kube-ipvsd.

mod cause;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ipvs::Connections;
use model::{Leftovers, Level, Op, Plan, Snapshot, Summary};
use sources::proxy::Running;

pub use self::cause::Cause;

/// Effects of a take-over.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Changes that kube-ipvsd would make.
    pub plan: Plan,
    /// Proxy that runs on the node; `None` if none answers or none was asked.
    pub proxy: Option<(SocketAddr, Running)>,
    /// True if that proxy will be stopped before the take-over.
    pub forced: bool,
    /// Leftovers of kube-proxy's other modes; `None` if they were not read.
    pub leftovers: Option<Leftovers>,
    /// Connections to real servers that would be deleted without a drain; `None` if unknown.
    pub cut: Option<Connections>,
    /// True if all of the input was read.
    pub whole: bool,
    /// True if IPVS is loaded. Otherwise kube-ipvsd will load it.
    pub has_ipvs: bool,
}

impl Migration {
    /// Returns the number of changes of each cause.
    #[must_use]
    pub fn causes(&self) -> BTreeMap<Cause, Summary> {
        let mut causes: BTreeMap<Cause, Summary> = BTreeMap::new();
        for planned in self.plan.ops() {
            let summary = causes.entry(Cause::of(planned)).or_default();
            summary.count(&planned.op);
        }
        causes
    }

    /// Returns the blockers, a text each.
    #[must_use]
    pub fn in_the_way(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let (Some((address, running)), false) = (&self.proxy, self.forced) {
            found.push(format!(
                "{running} answers at {address}: two proxies that write the same tables undo each \
                 other's changes. Stop it without a cleanup: its tables keep serving"
            ));
        }
        let errors = (self.plan.findings.values())
            .filter(|finding| finding.code.level() == Level::Error)
            .map(ToString::to_string);
        found.extend(errors);
        if let Some(Connections { active, .. }) = self.cut
            && active > 0
        {
            found.push(format!(
                "{active} open connections to real servers that would be deleted without a drain. Wait \
                 until they end, or find out why the cluster lacks these real servers"
            ));
        }
        if self.plan.withheld > 0 {
            let why = match self.whole {
                true => "the table changed while it was read. Run the check again",
                false => {
                    "a part of the input could not be read. Fix the errors and run the check again"
                }
            };
            let count = self.plan.withheld;
            found.push(format!("{count} deletions are withheld: {why}"));
        }
        found
    }

    /// Returns notes about the take-over, a text each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let (Some((address, running)), true) = (&self.proxy, self.forced) {
            notes.push(format!("{running} answers at {address}: stop it first"));
        }
        if !self.has_ipvs {
            notes.push("IPVS is not loaded: kube-ipvsd will load its module".to_owned());
        }
        notes.push(match &self.leftovers {
            None => "leftovers of kube-proxy's other modes were not read".to_owned(),
            Some(none) if none.is_empty() => "no leftovers of kube-proxy's other modes".to_owned(),
            Some(some) => format!(
                "kube-proxy left behind {some}. Start kube-ipvsd with --remove-leftovers, which deletes \
                 them after the first sync"
            ),
        });
        notes.push(match self.cut {
            None => "connections to real servers that would be deleted are unknown".to_owned(),
            Some(Connections {
                active, inactive, ..
            }) => format!(
                "connections to real servers that would be deleted without a drain: {active} active, \
                 {inactive} inactive"
            ),
        });
        notes
    }
}

/// Steps that undo a take-over.
pub const WAY_BACK: [&str; 3] = [
    "To kube-proxy in ipvs mode: stop kube-ipvsd without a cleanup, then start kube-proxy. It rewrites its chains \
     and uses the other tables as they are.",
    "The sets KUBE-IPVS-NO-LOCAL-ENDPOINT and KUBE-6-IPVS-NO-LOCAL-ENDPOINT, conn_reuse_mode and larger sets stay; \
     they do no harm. After the first sync of kube-proxy, `ipset destroy` deletes the two sets.",
    "To another mode of kube-proxy: stop kube-ipvsd, run `kube-ipvsd --cleanup`, then start kube-proxy. Services do \
     not answer in between.",
];

/// Returns the connections to real servers that `plan` deletes without a drain.
#[must_use]
pub fn cut(plan: &Plan, live: &Snapshot) -> Connections {
    let mut total = Connections::default();
    for planned in plan.ops() {
        let gone = (live.connections.iter()).filter(|((server, real), _)| match &planned.op {
            Op::DelVirtualServer(key) => server == key,
            Op::DelRealServer(key, deleted) => server == key && real == deleted,
            _ => false,
        });
        for (_, connections) in gone {
            total.active = total.active.saturating_add(connections.active);
            total.inactive = total.inactive.saturating_add(connections.inactive);
            total.persistent = total.persistent.saturating_add(connections.persistent);
        }
    }
    total
}
