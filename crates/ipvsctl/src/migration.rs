//! The effects of a take-over of a node by kube-ipvsd, as a value.

mod cause;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ipvs::Connections;
use model::{Leftovers, Level, Op, OpEffect, Plan, Snapshot, Summary};
use sources::proxy::Running;

pub use self::cause::Cause;

/// A node that kube-ipvsd is to take over.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The changes that would be made.
    pub plan: Plan,
    /// The proxy that runs there; none where none answers, or nobody was asked.
    pub proxy: Option<(SocketAddr, Running)>,
    /// True if that proxy will be stopped before.
    pub forced: bool,
    /// Leftovers of kube-proxy's other modes; none where they were not looked for.
    pub leftovers: Option<Leftovers>,
    /// Connections to real servers that would be deleted at once; none where they are not known.
    pub cut: Option<Connections>,
    /// True if all of the input was read.
    pub whole: bool,
    /// True if the kernel has IPVS now; where it has not, kube-ipvsd will load it.
    pub has_ipvs: bool,
}

impl Migration {
    /// Returns the number of changes of each cause.
    #[must_use]
    pub fn causes(&self) -> BTreeMap<Cause, Summary> {
        let mut causes: BTreeMap<Cause, Summary> = BTreeMap::new();
        for planned in self.plan.ops() {
            let summary = causes.entry(Cause::of(planned)).or_default();
            match planned.op.effect() {
                OpEffect::Add => summary.add += 1,
                OpEffect::Change => summary.change += 1,
                OpEffect::Delete => summary.delete += 1,
            }
        }
        causes
    }

    /// Returns what has to be done before, a sentence each.
    #[must_use]
    pub fn in_the_way(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let (Some((address, running)), false) = (&self.proxy, self.forced) {
            found.push(format!(
                "{running} answers at {address}: two that write the same tables undo each other's work. \
                 Stop it, and do not clean up: its tables go on serving"
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
                "open connections are to real servers that would be deleted at once: {active}. Wait until \
                 they end, or look why the cluster does not have these real servers"
            ));
        }
        if self.plan.withheld > 0 {
            let why = match self.whole {
                true => "the table changed while it was read",
                false => "not all of the input could be read",
            };
            let count = self.plan.withheld;
            found.push(format!(
                "{why}: {count} deletions are not known to be right. Try again"
            ));
        }
        found
    }

    /// Returns what is good to know, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let (Some((address, running)), true) = (&self.proxy, self.forced) {
            notes.push(format!("{running} answers at {address}: to be stopped"));
        }
        if !self.has_ipvs {
            notes.push("the kernel has no IPVS yet: kube-ipvsd will load its module".to_owned());
        }
        notes.push(match &self.leftovers {
            None => "leftovers of kube-proxy's other modes were not looked for".to_owned(),
            Some(none) if none.is_empty() => "kube-proxy's other modes left nothing".to_owned(),
            Some(some) => format!(
                "kube-proxy left behind {some}. Start kube-ipvsd with --remove-leftovers: it deletes them \
                 after its first synchronisation"
            ),
        });
        notes.push(match self.cut {
            None => "connections to real servers that would be deleted are not known".to_owned(),
            Some(Connections {
                active, inactive, ..
            }) => format!(
                "connections to real servers that would be deleted at once: {active} active, {inactive} \
                 inactive"
            ),
        });
        notes
    }
}

/// The steps that undo a take-over, a sentence each.
pub const WAY_BACK: [&str; 3] = [
    "To kube-proxy in ipvs mode: stop kube-ipvsd, do not clean up, start kube-proxy. It writes its chains anew \
     and finds the rest as it left it.",
    "The sets KUBE-IPVS-NO-LOCAL-ENDPOINT and KUBE-6-IPVS-NO-LOCAL-ENDPOINT, conn_reuse_mode and larger sets stay, \
     and do no harm; once kube-proxy has synchronised, `ipset destroy` takes the two sets away.",
    "To another mode of kube-proxy: stop kube-ipvsd, run `kube-ipvsd --cleanup`, start kube-proxy. Services do not \
     answer in between.",
];

/// The connections to real servers that `plan` deletes rather than drains.
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
