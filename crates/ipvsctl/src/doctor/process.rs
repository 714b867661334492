//! Checks of the process of kube-ipvsd, and the advice to repair the tables by it.

#[cfg(test)]
mod tests;

use super::facts::NodeFacts;
use super::{Diagnosis, some};
use crate::input::running::{Manager, ProcessFacts, State};

/// Checks that the process of kube-ipvsd is not stopped or hung, and that no kube-proxy runs.
pub(super) fn state(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "process";
    let mut found: Vec<Diagnosis> = facts
        .daemons
        .iter()
        .map(|daemon| one(facts, daemon))
        .collect();
    if facts.daemons.len() > 1 {
        let pids: Vec<String> = facts
            .daemons
            .iter()
            .map(|daemon| daemon.pid.to_string())
            .collect();
        found.push(Diagnosis::problem(
            check,
            format!("more than one kube-ipvsd runs: processes {}", some(&pids)),
            "Services change back and forth, because the processes undo each other's changes",
            "stop all but one; the tables stay",
        ));
    }
    let proxies = facts.kube_proxies.iter();
    found.extend(proxies.map(|proxy| {
        Diagnosis::problem(
            check,
            format!("kube-proxy runs on this node: process {}", proxy.pid),
            "Services change back and forth, because both proxies undo each other's changes; the other checks name \
             those that differ now",
            "stop kube-proxy on this node without its --cleanup, which would delete the tables that \
             kube-ipvsd uses",
        )
    }));
    found
}

fn one(facts: &NodeFacts, daemon: &ProcessFacts) -> Diagnosis {
    let check = "process";
    let pid = daemon.pid;
    let users_see = "Services stay as they are: changes of the cluster do not reach this node, and nothing repairs \
                     its tables";
    match daemon.state {
        State::Stopped => Diagnosis::problem(
            check,
            format!("kube-ipvsd (process {pid}) is stopped by a signal or a debugger"),
            users_see,
            &format!(
                "let it continue: kill -CONT {pid}; if that does not help, {}",
                restart(facts)
            ),
        ),
        State::Running if !facts.is_kept() && facts.daemon.metrics.is_some() => Diagnosis::problem(
            check,
            format!("kube-ipvsd (process {pid}) runs but does not answer"),
            users_see,
            &format!(
                "see its log, and {}; if its metrics address is another one, name it by --metrics-address",
                restart(facts)
            ),
        ),
        State::Running => Diagnosis::ok(check, format!("kube-ipvsd is process {pid}")),
    }
}

/// Returns true if a process of kube-ipvsd is stopped, or does not answer at its metrics address.
pub(super) fn hangs(facts: &NodeFacts) -> bool {
    let is_stopped = |daemon: &ProcessFacts| daemon.state == State::Stopped;
    let is_asked = facts.daemon.metrics.is_some();
    !facts.is_kept() && (facts.daemons.iter()).any(|daemon| is_asked || is_stopped(daemon))
}

/// Returns the advice for a difference that kube-ipvsd repairs. `scope` is the part of the tables
/// that the repair takes to compare.
pub(super) fn repair(facts: &NodeFacts, scope: Scope) -> String {
    let restart = restart(facts);
    if hangs(facts) {
        return format!("{restart}: then kube-ipvsd repairs the tables; no connection is cut");
    }
    if !facts.is_kept() && facts.daemons.is_empty() {
        return "start kube-ipvsd, which repairs the tables without cutting connections".to_owned();
    }
    let status = facts.daemon.status.as_ref();
    if status.is_some_and(|status| status.last_sync.is_none()) {
        return "see the check synchronisation: kube-ipvsd repairs the tables in its first sync"
            .to_owned();
    }
    let seconds = within(facts, scope);
    format!("wait: kube-ipvsd repairs it by itself within {seconds} s; if it stays, {restart}")
}

/// Part of the tables that one audit compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Compared in every audit.
    Audit,
    /// Virtual servers with their real servers. Those of large tables are compared in slices.
    Slices,
}

/// Returns the time in which kube-ipvsd repairs a difference, in seconds: one audit each syncPeriod.
/// Tables of more than 256 virtual servers are compared in slices, with a pause of at most a minute
/// between two of them (ADR 14).
fn within(facts: &NodeFacts, scope: Scope) -> u64 {
    const SLICE: usize = 256;
    const PAUSE: u64 = 60;

    let period = facts.config.sync_period.as_secs();
    let servers = facts
        .live
        .as_ref()
        .map_or(0, |live| live.tables.virtual_servers.len());
    match scope {
        Scope::Slices if servers > SLICE => {
            let slices = u64::try_from(servers.div_ceil(SLICE)).unwrap_or(u64::MAX);
            period.max(slices.saturating_mul(PAUSE))
        }
        Scope::Slices | Scope::Audit => period,
    }
}

/// Returns the command that restarts kube-ipvsd. A restart keeps the tables and the connections.
pub(super) fn restart(facts: &NodeFacts) -> String {
    let manager = facts.daemons.first().map(|daemon| &daemon.manager);
    match manager {
        Some(Manager::Systemd(unit)) => format!("restart it: systemctl restart {unit}"),
        Some(Manager::Kubelet) => format!(
            "restart it: kubectl -n kube-system delete pod -l app.kubernetes.io/name=kube-ipvs --field-selector \
             spec.nodeName={}",
            facts.config.node_name
        ),
        Some(Manager::Unknown) | None => {
            "restart it: kubectl -n kube-system rollout restart daemonset/kube-ipvs, or systemctl restart kube-ipvsd"
                .to_owned()
        }
    }
}
