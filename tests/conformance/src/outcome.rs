//! Compares a recording with our tables and plans.

use std::collections::BTreeSet;
use std::time::Duration;

use ipvs::Timeouts;
use model::{Desired, Snapshot};
use planner::{Ownership, compile, diff};

use crate::deviations::{Deviations, Place};
use crate::difference::{Difference, Side, between};
use crate::recording::Moment;
use crate::section::{self, Lines};
use crate::steps;

/// The result of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The failures, as text.
    pub failures: Vec<String>,
    /// Lines of the list of deviations that applied.
    pub applied: BTreeSet<Place>,
}

/// A moment of a recording with our tables.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The recording.
    pub moment: Moment,
    /// Our desired state.
    pub desired: Desired,
    /// The recorded lines, corrected by the listed deviations.
    pub corrected: Lines,
}

/// Compares every moment of a scenario, and the plan of every step.
#[must_use]
pub fn outcome(moments: Vec<Moment>, deviations: &Deviations) -> Outcome {
    let mut outcome = Outcome::default();
    let mut before: Option<Compared> = None;
    for moment in moments {
        let compared = compare(moment, deviations, &mut outcome);
        let failures = match &before {
            Some(before) => steps::check(before, &compared),
            None => steps::check_settled(&compared),
        };
        let failures = failures.into_iter().chain(steps::check_takeover(&compared));
        let name = &compared.moment.name;
        let failures = failures.map(|failure| format!("{name}: {failure}"));
        outcome.failures.extend(failures);
        before = Some(compared);
    }
    outcome
}

/// Compares the tables of one moment. Differences that are not on the list are failures.
fn compare(moment: Moment, deviations: &Deviations, outcome: &mut Outcome) -> Compared {
    let (desired, _) = compile(&moment.cluster, &moment.node, &moment.config);
    let ours = section::lines(&started(&moment, &desired).tables);
    let mut listed = Vec::new();
    for difference in between(&ours, &moment.recorded) {
        match deviations.place(&moment.name, &difference) {
            Some(place) => {
                outcome.applied.insert(place);
                listed.push(difference);
            }
            None => outcome
                .failures
                .push(format!("{}: {difference}", moment.name)),
        }
    }
    Compared {
        corrected: corrected(&moment.recorded, &listed),
        moment,
        desired,
    }
}

/// Idle timeouts of a fresh kernel.
const LINUX: Timeouts = Timeouts {
    tcp: Duration::from_secs(900),
    tcp_fin: Duration::from_secs(120),
    udp: Duration::from_secs(300),
};

/// Returns the kernel's tables after we have started on the earlier ones: our tables, and earlier
/// entries that are not ours.
fn started(moment: &Moment, desired: &Desired) -> Snapshot {
    let mut kernel = Snapshot {
        tables: moment.found.clone(),
        node: moment.node.clone(),
        ..Snapshot::default()
    };
    kernel.tables.timeouts = LINUX;
    let own = Ownership::new(&moment.config);
    for planned in diff(desired, &kernel, &own).ops() {
        kernel.apply(&planned.op);
    }
    kernel
}

fn corrected(recorded: &Lines, differences: &[Difference]) -> Lines {
    let mut corrected = recorded.clone();
    for difference in differences {
        let lines = corrected.entry(difference.section).or_default();
        match difference.side {
            Side::Ours => lines.push(difference.line.clone()),
            Side::Theirs => lines.retain(|line| *line != difference.line),
        }
    }
    corrected
}
