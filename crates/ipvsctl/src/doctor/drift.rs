//! Differences between the desired and the live tables, as problems of Services.
//!
//! The planner's plan is the list of differences. Each kind of difference is one problem, with the
//! Services that it affects.
//!
//! | module | contents |
//! |---|---|
//! | `kind` | kinds of differences and their texts |
//! | `affected` | the Services of an entry |
//! | `rules` | the effects of missing chains and jumps |

mod affected;
mod kind;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ipvs::VirtualServerKey;
use model::{ObjectName, Op, Plan, PlannedOp, Reason, Snapshot};

use self::affected::Affected;
use self::kind::Kind;
use super::facts::{Compared, NodeFacts};
use super::process::repair;
use super::{Diagnosis, Severity};
use crate::output::plan::line;

/// Differences of one kind.
#[derive(Debug, Default)]
struct Group {
    count: usize,
    lines: Vec<String>,
    services: BTreeSet<ObjectName>,
}

impl Group {
    fn add(&mut self, line: String, services: BTreeSet<ObjectName>) {
        self.count += 1;
        self.lines.push(line);
        self.services.extend(services);
    }
}

/// Reports each kind of difference between the desired and the live tables.
pub(super) fn tables(facts: &NodeFacts) -> Vec<Diagnosis> {
    let Some(live) = &facts.live else {
        return Vec::new();
    };
    let compared = match &facts.desired {
        Ok(compared) => compared,
        Err(why) => return vec![unknown(why)],
    };
    let groups = groups(compared, live);
    let mut found: Vec<Diagnosis> = (groups.iter())
        .map(|(kind, group)| diagnosis(facts, compared, live, *kind, group))
        .collect();
    found.extend(rules::diagnoses(facts, compared, live));
    if found.is_empty() {
        let servers = compared.input.desired.tables.virtual_servers.len();
        let text = format!(
            "the tables are as the cluster asks for: {}",
            super::count(servers, "virtual server")
        );
        found.push(Diagnosis::ok("tables", text));
    }
    if compared.plan.withheld > 0 {
        found.push(torn(compared.plan.withheld));
    }
    found
}

fn unknown(why: &str) -> Diagnosis {
    Diagnosis::warning(
        "tables",
        format!("the desired tables are unknown: {why}"),
        "unknown: the Services of the cluster are not compared with the tables of this node",
        "name the objects: ipvsctl doctor -f FILE, or --kubeconfig FILE",
    )
}

fn torn(withheld: usize) -> Diagnosis {
    Diagnosis::warning(
        "tables",
        format!(
            "entries that cannot be judged, because the tables changed during the reading: {withheld}"
        ),
        "unknown: entries that no Service asks for may exist",
        "run the command again",
    )
}

/// Groups the changes of the plan by kind, except those of rules, settings and the device, which
/// other checks report.
fn groups(compared: &Compared, live: &Snapshot) -> BTreeMap<Kind, Group> {
    let affected = Affected::new(&compared.input.desired);
    let added = added_servers(&compared.plan);
    let mut groups: BTreeMap<Kind, Group> = BTreeMap::new();
    for planned in compared.plan.ops() {
        let PlannedOp { op, owner, reason } = planned;
        let within_new = (op.real_server_of()).is_some_and(|server| added.contains(&server));
        // Without the device all its addresses are missing.
        let within_device = !live.device && matches!(op, Op::AddAddress(_));
        let Some(kind) = Kind::of(op, reason).filter(|_| !within_new && !within_device) else {
            continue;
        };
        let services = match (kind.is_excess(), owner) {
            (true, _) => BTreeSet::new(),
            (false, Some(owner)) if op.real_server_of().is_some() => {
                BTreeSet::from([owner.service.clone()])
            }
            (false, _) => affected.by(op),
        };
        let text = match reason {
            Reason::Differs(_) => format!("{}    {reason}", line(op)),
            _ => line(op),
        };
        groups.entry(kind).or_default().add(text, services);
    }
    // A real server that is no endpoint takes a part of the connections of its Service.
    for planned in compared.plan.ops() {
        if let Some(key) = planned.op.real_server_of()
            && Kind::of(&planned.op, &planned.reason) == Some(Kind::ExtraRealServer)
            && let Some(owner) = compared.input.desired.owners.virtual_servers.get(&key)
        {
            let group = groups.entry(Kind::ExtraRealServer).or_default();
            group.services.insert(owner.service.clone());
        }
    }
    groups
}

/// Returns the virtual servers that the plan adds.
fn added_servers(plan: &Plan) -> BTreeSet<VirtualServerKey> {
    let added = plan.ops().filter_map(|planned| match &planned.op {
        Op::AddVirtualServer(server) => Some(server.key),
        _ => None,
    });
    added.collect()
}

fn diagnosis(
    facts: &NodeFacts,
    compared: &Compared,
    live: &Snapshot,
    kind: Kind,
    group: &Group,
) -> Diagnosis {
    let mut found = kind.found(group.count);
    let dark = match kind {
        Kind::MissingRealServer | Kind::ZeroWeight => dark(compared, live, &group.services),
        _ => 0,
    };
    if dark > 0 {
        let services = super::count(dark, "Service");
        found.push_str(&format!("; {services} without any endpoint in the kernel"));
    }
    let mut action = repair(facts, kind.scope());
    if let Some(service) = group.services.first() {
        action.push_str(&format!(
            "; see ipvsctl diff --service {service} and ipvsctl explain svc {service}"
        ));
    } else {
        action.push_str("; see ipvsctl diff");
    }
    let diagnosis = Diagnosis::problem(kind.check(), found, kind.users_see(), &action);
    Diagnosis {
        severity: match kind.is_excess() {
            true => Severity::Warning,
            false => Severity::Problem,
        },
        ..diagnosis
    }
    .with(group.lines.clone())
    .about(group.services.clone())
}

/// Counts the Services of `services` with a virtual server that should have endpoints and gets no
/// new connections through any.
fn dark(compared: &Compared, live: &Snapshot, services: &BTreeSet<ObjectName>) -> usize {
    let desired = &compared.input.desired;
    let is_open = |key: &VirtualServerKey| {
        let entry = live.tables.virtual_servers.get(key);
        entry.is_some_and(|entry| entry.real_servers.values().any(|real| real.weight > 0))
    };
    let dark: BTreeSet<_> = (desired.owners.virtual_servers.iter())
        .filter(|(_, owner)| services.contains(&owner.service))
        .filter(|(key, _)| {
            let entry = desired.tables.virtual_servers.get(key);
            entry.is_some_and(|entry| !entry.real_servers.is_empty()) && !is_open(key)
        })
        .map(|(_, owner)| &owner.service)
        .collect();
    dark.len()
}
