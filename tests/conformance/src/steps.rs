//! Checks the plans between the moments of a recording: from kube-proxy's tables before a step to
//! ours after it, they have only the changes of the recording.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::{Connections, Protocol, RealServerKey, VirtualServerKey};
use model::{Desired, NodeTables, Op, Plan, PlannedOp, Reason, Snapshot};
use planner::{Ownership, diff};

use crate::outcome::Compared;
use crate::recording::tables;

/// Connections by virtual server and real server.
type Traffic = BTreeMap<(VirtualServerKey, RealServerKey), Connections>;

/// Checks the plan from the tables that kube-proxy left at this moment. It must be empty, for a
/// process that remembers writing the tables and for one that has just started. For the latter,
/// node ports and other addresses of the node itself look like another program's, and stay.
#[must_use]
pub fn check_settled(now: &Compared) -> Vec<String> {
    let left = match tables(&now.corrected) {
        Ok(left) => left,
        Err(error) => return vec![error],
    };
    let remembers = plan(&left, busy(&left), now, Knowledge::OwnWrites);
    let started = plan(&left, busy(&left), now, Knowledge::Nothing);
    let ops = [&remembers, &started].map(|plan| lines(&about_ipvs(plan)));
    let left_out = remembers.findings.values().map(ToString::to_string);
    (ops.into_iter().flatten().chain(left_out))
        .map(|what| format!("the plan should be empty: {what}"))
        .collect()
}

/// Checks the plan that takes the node over from kube-proxy at this moment, with connections to
/// every real server. It must have only changes of deviations, and no new rule that jumps to one of
/// our chains.
#[must_use]
pub fn check_takeover(now: &Compared) -> Vec<String> {
    let (mut found, mut left) = match (tables(&now.moment.recorded), tables(&now.corrected)) {
        (Ok(found), Ok(left)) => (found, left),
        (Err(error), _) | (_, Err(error)) => return vec![error],
    };
    // Virtual servers of other programs are not compared.
    for tables in [&mut found, &mut left] {
        let servers = &mut tables.virtual_servers;
        servers.retain(|key, _| !now.moment.found.virtual_servers.contains_key(key));
    }
    let found = NodeTables {
        rules: now.moment.rules.clone(),
        ..found
    };
    let plan = plan(&found, busy(&found), now, Knowledge::Nothing);
    let mut failures = Vec::new();
    let expected = moves(&found, &left, &now.desired);
    differ("taking over", &plan, &expected, &mut failures);
    let patches = plan.ops().filter_map(|planned| match &planned.op {
        Op::PatchRules(_, patch) => Some(patch),
        _ => None,
    });
    for patch in patches {
        let jumps = patch.insert_jumps.len() + patch.delete_jumps.len();
        if jumps + patch.delete_chains.len() > 0 {
            failures.push(format!(
                "take-over: changes more than rules of chains: {patch}"
            ));
        }
    }
    failures
}

/// Checks the plan from `before` to `after`.
#[must_use]
pub fn check(before: &Compared, after: &Compared) -> Vec<String> {
    let mut failures = check_settled(after);
    match (tables(&before.corrected), tables(&after.corrected)) {
        (Ok(from), Ok(to)) => {
            let knowledge = if after.moment.restarted {
                Knowledge::Nothing
            } else {
                Knowledge::OwnWrites
            };
            failures.extend(check_plan(&from, &to, after, knowledge));
        }
        (Err(error), _) | (_, Err(error)) => failures.push(error),
    }
    failures
}

/// The process's knowledge of its own writes.
#[derive(Clone, Copy)]
enum Knowledge {
    /// The process remembers its own writes.
    OwnWrites,
    /// The process has just started.
    Nothing,
}

fn check_plan(
    from: &NodeTables,
    to: &NodeTables,
    after: &Compared,
    knowledge: Knowledge,
) -> Vec<String> {
    let mut failures = Vec::new();
    let expected = moves(from, to, &after.desired);
    let busy_plan = plan(from, busy(from), after, knowledge);
    for (name, plan) in [
        ("with connections", &busy_plan),
        (
            "without connections",
            &plan(from, Traffic::new(), after, knowledge),
        ),
    ] {
        differ(name, plan, &expected, &mut failures);
    }
    // The connections end: the drained servers are deleted, and no other change is left.
    let drained = carried_out(from, &busy_plan);
    let last = plan(&drained, Traffic::new(), after, Knowledge::OwnWrites);
    if !same(&carried_out(&drained, &last), to) {
        failures.push("drains do not lead to the recorded tables".to_owned());
    }
    failures
}

fn plan(live: &NodeTables, connections: Traffic, now: &Compared, knowledge: Knowledge) -> Plan {
    let config = &now.moment.config;
    let live = Snapshot {
        tables: live.clone(),
        device: true,
        connections,
        node: now.moment.node.clone(),
        ..Snapshot::default()
    };
    let own = Ownership {
        recorded: match knowledge {
            Knowledge::OwnWrites => {
                let found = &now.moment.found.virtual_servers;
                let ours = live.tables.virtual_servers.keys();
                ours.filter(|key| !found.contains_key(key))
                    .copied()
                    .collect()
            }
            Knowledge::Nothing => BTreeSet::new(),
        },
        ..Ownership::new(config)
    };
    diff(&now.desired, &live, &own)
}

/// Gives every TCP real server connections.
fn busy(tables: &NodeTables) -> Traffic {
    let mut traffic = Traffic::new();
    for (key, entry) in &tables.virtual_servers {
        for real in entry.real_servers.keys() {
            let one = Connections {
                active: 1,
                ..Connections::default()
            };
            traffic.insert((*key, *real), one);
        }
    }
    traffic
}

/// Returns the changes between two recorded tables, each with its reason. A real server that leaves
/// gets weight 0, with or without connections, if it is one of TCP, or one of UDP whose endpoint
/// terminates and serves.
fn moves(from: &NodeTables, to: &NodeTables, desired: &Desired) -> Vec<(Op, Reason)> {
    let mut moves = Vec::new();
    for (key, entry) in &to.virtual_servers {
        let old = from.virtual_servers.get(key);
        match old {
            None => moves.push((Op::AddVirtualServer(entry.server.clone()), Reason::Missing)),
            Some(old) if old.server != entry.server => {
                let set = Op::SetVirtualServer(entry.server.clone());
                moves.push((set, Reason::Differs(Vec::new())));
            }
            Some(_) => {}
        }
        let old = old.map(|old| old.real_servers.clone()).unwrap_or_default();
        for (real_key, real) in &entry.real_servers {
            match old.get(real_key) {
                None => moves.push((Op::AddRealServer(*key, *real), Reason::Missing)),
                Some(old) if old != real => {
                    let set = Op::SetRealServer(*key, *real);
                    moves.push((set, Reason::Differs(Vec::new())));
                }
                Some(_) => {}
            }
        }
        for real in old
            .values()
            .filter(|real| !entry.real_servers.contains_key(&real.key))
        {
            moves.push(if is_tcp(*key) || desired.finishes(*key, real.key) {
                let drained = ipvs::RealServer { weight: 0, ..*real };
                (Op::SetRealServer(*key, drained), Reason::Drains)
            } else {
                (Op::DelRealServer(*key, real.key), Reason::NoEndpoint)
            });
        }
    }
    let gone = (from.virtual_servers.keys()).filter(|key| !to.virtual_servers.contains_key(key));
    moves.extend(gone.map(|key| (Op::DelVirtualServer(*key), Reason::Unwanted)));
    let come = to.addresses.difference(&from.addresses);
    moves.extend(come.map(|at| (Op::AddAddress(*at), Reason::Missing)));
    let gone = from.addresses.difference(&to.addresses);
    moves.extend(gone.map(|at| (Op::DelAddress(*at), Reason::Unwanted)));
    moves.extend(moves_of_sets(from, to));
    moves
}

fn moves_of_sets(from: &NodeTables, to: &NodeTables) -> Vec<(Op, Reason)> {
    let mut moves = Vec::new();
    for (name, set) in &to.sets {
        let old = from.sets.get(name);
        if old.is_none() {
            moves.push((Op::CreateSet(name.clone(), set.header), Reason::Missing));
        }
        let old = old.map(|old| old.entries.clone()).unwrap_or_default();
        let come = set.entries.difference(&old);
        moves.extend(come.map(|entry| (Op::AddEntry(name.clone(), *entry), Reason::Missing)));
        let gone = old.difference(&set.entries);
        moves.extend(gone.map(|entry| (Op::DelEntry(name.clone(), *entry), Reason::Unwanted)));
    }
    moves
}

fn is_tcp(key: VirtualServerKey) -> bool {
    let VirtualServerKey::Address { protocol, .. } = key else {
        return false;
    };
    protocol == Protocol::Tcp
}

/// Returns the part of a plan about virtual servers, real servers, addresses and sets. The details
/// of differences are removed.
fn about_ipvs(plan: &Plan) -> Vec<(Op, Reason)> {
    (plan.ops())
        .filter(|planned| {
            let keys = planned.op.keys();
            !keys.is_empty() && keys.rules.is_empty() && keys.sysctls.is_empty() && !keys.timeouts
        })
        .map(|PlannedOp { op, reason, .. }| {
            let reason = match reason {
                Reason::Differs(_) => Reason::Differs(Vec::new()),
                other => other.clone(),
            };
            (op.clone(), reason)
        })
        .collect()
}

fn differ(when: &str, plan: &Plan, expected: &[(Op, Reason)], failures: &mut Vec<String>) {
    let planned = about_ipvs(plan);
    let surplus: Vec<_> = (planned.iter())
        .filter(|op| !expected.contains(op))
        .cloned()
        .collect();
    let lacking: Vec<_> = (expected.iter())
        .filter(|op| !planned.contains(op))
        .cloned()
        .collect();
    let surplus = lines(&surplus)
        .into_iter()
        .map(|op| format!("{when}: planned, but not expected: {op}"));
    failures.extend(surplus);
    let lacking = lines(&lacking)
        .into_iter()
        .map(|op| format!("{when}: expected, but not planned: {op}"));
    failures.extend(lacking);
}

fn lines(ops: &[(Op, Reason)]) -> Vec<String> {
    ops.iter()
        .map(|(op, reason)| format!("{op}: {reason}"))
        .collect()
}

fn carried_out(tables: &NodeTables, plan: &Plan) -> NodeTables {
    let mut kernel = Snapshot {
        tables: tables.clone(),
        device: true,
        ..Snapshot::default()
    };
    for planned in plan.ops() {
        kernel.apply(&planned.op);
    }
    kernel.tables
}

fn same(one: &NodeTables, other: &NodeTables) -> bool {
    one.virtual_servers == other.virtual_servers
        && one.addresses == other.addresses
        && one.sets == other.sets
}
