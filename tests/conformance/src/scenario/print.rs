//! Prints the results of steps as lines.

use model::frontend::HealthCheck;
use model::{Desired, Finding, NodeTables, Op, Plan, PlannedOp, Reason};

use super::step::Filter;
use crate::section::{self, Section};

/// Prints sections of `tables`, one after the other.
pub(super) fn tables(tables: &NodeTables, sections: &[Section], filter: &Filter) -> Vec<String> {
    let all = section::lines(tables);
    let mut shown = Vec::new();
    for section in sections {
        let lines = all.get(section).into_iter().flatten();
        shown.extend(lines.filter(|line| filter.shows(line)).cloned());
    }
    shown
}

/// Prints the changes of `plan` with their reasons, followed by the skipped entries. Changes that
/// every node needs once are left out: missing sets, rules and settings.
pub(super) fn plan(plan: &Plan, filter: &Filter) -> Vec<String> {
    let ops = plan
        .ops()
        .filter(|planned| !is_of_every_node(planned))
        .map(|planned| {
            let (op, reason) = (&planned.op, &planned.reason);
            let mark = op.effect().mark();
            match op {
                Op::AddRealServer(_, real) | Op::SetRealServer(_, real) => {
                    format!("{mark} {op}, weight {}: {reason}", real.weight)
                }
                _ => format!("{mark} {op}: {reason}"),
            }
        });
    let findings = plan.findings.values().map(|finding| format!("! {finding}"));
    ops.chain(findings)
        .filter(|line| filter.shows(line))
        .collect()
}

fn is_of_every_node(planned: &PlannedOp) -> bool {
    match (&planned.op, &planned.reason) {
        (Op::CreateSet(..) | Op::PatchRules(..), Reason::Missing) => true,
        (Op::SetSysctl(..), Reason::Differs(differences)) => {
            (differences.iter()).all(|difference| difference.live == "unknown")
        }
        _ => false,
    }
}

/// Prints findings as `ipvsctl` does.
pub(super) fn findings(findings: &[Finding], filter: &Filter) -> Vec<String> {
    (findings.iter().map(ToString::to_string))
        .filter(|line| filter.shows(line))
        .collect()
}

/// Prints health checks: `default/web: port 31188, 2 local endpoints`.
pub(super) fn health(desired: &Desired) -> Vec<String> {
    (desired.health_checks.iter())
        .map(
            |(
                service,
                HealthCheck {
                    port,
                    local_endpoints,
                    families: _,
                },
            )| { format!("{service}: port {port}, {local_endpoints} local endpoints") },
        )
        .collect()
}
