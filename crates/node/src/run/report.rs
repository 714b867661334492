//! Logs the reports of the loop. INFO is a change of state, WARN a problem that may need an
//! operator.

mod budget;
mod repeats;

use std::collections::BTreeMap;
use std::time::Instant;

use model::finding::Code;
use model::plan::{PlannedOp, Summary};
use model::{Finding, Level, Name, ObjectName, chain};
use sources::{ProblemKind, SourceEvent, SourceProblem};
use tracing::{debug, error, info, warn};

use self::budget::{Line, LineBudget};
use self::repeats::{Repeats, Seen};
use super::Waiting;
use reconciler::{Event, Report, Trigger};

/// Maximum number of failed ops, and of repairs, of one sync that are logged one by one. Ten
/// examples show the cause of ten thousand failures.
const SHOWN: usize = 10;

/// Logs reports and keeps the result of the last sync.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// Name of this node's Node object.
    node: Name,
    failed: usize,
    drifted: usize,
    /// Errors that were logged before, so that a lasting error does not fill the log.
    repeats: Repeats,
    /// Budgets of log lines about findings, by code. Users of the cluster can cause findings and
    /// syncs.
    findings: BTreeMap<Code, LineBudget>,
    /// Budget of log lines about syncs.
    syncs: Option<LineBudget>,
    /// True if the sync under way logged an error.
    logged: bool,
    /// Number of failed ops of the last sync.
    pub(super) last_failed: usize,
    /// Number of problems that sources reported.
    pub(super) problems: usize,
    /// Findings about lists that wait for confirmation, by source.
    shrunk: BTreeMap<Name, Finding>,
}

impl Reporter {
    pub(super) fn new(node: Name) -> Self {
        Self {
            node,
            ..Self::default()
        }
    }

    pub(super) fn log(&mut self, report: &Report, now: Instant) {
        match report {
            Report::Synced { .. } => self.synced(report, now),
            Report::Audited => debug!("audit: compared all tables with the kernel"),
            Report::Drift(planned) => {
                self.drifted += 1;
                if self.drifted <= SHOWN {
                    let PlannedOp { op, reason, .. } = planned;
                    warn!(
                        service = service(planned),
                        "repairing drift: {op}: {reason}"
                    );
                }
            }
            Report::OpFailed(planned, cause) => {
                let text = chain(cause);
                let Some(times) = self.is_news(&text, now) else {
                    return;
                };
                self.failed += 1;
                if self.failed <= SHOWN {
                    error!(service = service(planned), "{text}{times}");
                }
            }
            Report::ObserveFailed(cause) => {
                let text = chain(cause);
                if let Some(times) = self.is_news(&text, now) {
                    error!("{text}{times}");
                }
            }
            Report::FindingRaised(finding) => {
                if let Some(left_out) = self.finding(finding, now) {
                    raised(finding, &left_out);
                }
            }
            Report::FindingCleared(finding) => {
                if let Some(left_out) = self.finding(finding, now) {
                    info!(code = %finding.code, "cleared: {finding}{left_out}");
                }
            }
            Report::ChecksWanted(targets) => {
                debug!("health checks: {} targets changed", targets.len());
            }
            Report::SlowStartsSkipped(count) => warn!(
                count,
                "real servers start with their full weight despite slowStart: too many others are in a slow start"
            ),
            Report::DeletionsWithheld(count) => warn!(
                count,
                "deletions wait: another program changed the IPVS table during the reading; reading again"
            ),
        }
    }

    fn synced(&mut self, report: &Report, now: Instant) {
        let Report::Synced {
            trigger,
            first,
            summary: _,
            done,
            failed,
            took,
        } = report
        else {
            return;
        };
        self.last_failed = *failed;
        for (count, what) in [(self.failed, "ops failed"), (self.drifted, "repairs")] {
            if count > SHOWN {
                warn!("{} more {what} in this sync are not logged", count - SHOWN);
            }
        }
        (self.failed, self.drifted) = (0, 0);
        let logged = std::mem::take(&mut self.logged);
        let cause = trigger.cause(*first);
        let seconds = took.as_secs_f64();
        if *done == Summary::default() && *failed == 0 {
            debug!("synced: nothing to do in {seconds:.3} s ({cause})");
            return;
        }
        let Summary {
            add,
            change,
            delete,
        } = done;
        let done = format!("{add} added, {change} changed, {delete} deleted");
        let failures = format!("{done}, {failed} failed in {seconds:.3} s ({cause})");
        if *failed > 0 && !logged && *trigger != Trigger::Change {
            debug!("synced with failures: {failures}");
            return;
        }
        let budget = self.syncs.get_or_insert_with(|| LineBudget::new(now));
        let Some(left_out) = left_out(budget.line(now), "syncs") else {
            return;
        };
        if *failed > 0 {
            warn!("synced with failures, which are retried: {failures}{left_out}");
        } else {
            info!("synced: {done} in {seconds:.3} s ({cause}){left_out}");
        }
    }

    /// Returns a note about skipped lines on findings of this code, or `None` if this line is
    /// skipped too.
    fn finding(&mut self, finding: &Finding, now: Instant) -> Option<String> {
        let budget = self.findings.entry(finding.code);
        let line = budget.or_insert_with(|| LineBudget::new(now)).line(now);
        left_out(line, finding.code.as_str())
    }

    /// Returns a note about repetitions of an error since it was last logged, or `None` if it
    /// should not be logged.
    fn is_news(&mut self, text: &str, now: Instant) -> Option<String> {
        let times = match self.repeats.see(text, now) {
            Seen::First => String::new(),
            Seen::Due { times } => format!(" ({times} times since it was last logged)"),
            Seen::Known => {
                debug!("again: {text}");
                return None;
            }
        };
        self.logged = true;
        Some(times)
    }

    /// Logs problems of a source. Returns the event for the reconciler, if any.
    pub(super) fn source_event(&mut self, event: SourceEvent) -> Option<Waiting> {
        match event {
            SourceEvent::Cluster(event, arrived) => Some(Waiting {
                event: Event::Cluster(event),
                arrived: Some(arrived),
            }),
            SourceEvent::Trouble(problem) => {
                self.problems += 1;
                error!("{problem}");
                let found = self.shrunk(problem).map(Event::Found);
                found.map(Waiting::from)
            }
            SourceEvent::Recovered { subject } => {
                info!("{subject}: recovered");
                let gone = self.shrunk.remove(&subject).map(Event::Gone);
                gone.map(Waiting::from)
            }
        }
    }

    /// Returns the finding about a list that waits for confirmation.
    fn shrunk(&mut self, problem: SourceProblem) -> Option<Finding> {
        if problem.kind != ProblemKind::Shrunk {
            return None;
        }
        let finding = Finding {
            code: Code::ShrunkList,
            kind: "Node",
            object: ObjectName::new("", self.node.clone()),
            field: problem.subject.to_string(),
            problem: problem.message,
            consequence: "the node's entries stay unchanged until then".to_owned(),
        };
        let known = (self.shrunk.entry(problem.subject)).or_insert(finding);
        Some(known.clone())
    }
}

/// Returns the end of a log line about `subject`, or `None` if the line is skipped.
fn left_out(line: Line, subject: &str) -> Option<String> {
    let (left_out, is_last) = match line {
        Line::Write { left_out } => (left_out, false),
        Line::Last { left_out } => (left_out, true),
        Line::LeaveOut => return None,
    };
    let mut text = String::new();
    if left_out > 0 {
        text = format!(" ({left_out} lines about {subject} before this one were skipped)");
    }
    if is_last {
        text.push_str(" (too many lines about ");
        text.push_str(subject);
        text.push_str(": at most one a second from now on; see /statusz and /metrics)");
    }
    Some(text)
}

fn raised(finding: &Finding, left_out: &str) {
    match finding.code.level() {
        Level::Info => info!(code = %finding.code, "{finding}{left_out}"),
        Level::Warning => warn!(code = %finding.code, "{finding}{left_out}"),
        Level::Error => error!(code = %finding.code, "{finding}{left_out}"),
    }
}

fn service(planned: &PlannedOp) -> String {
    (planned.owner.as_ref()).map_or_else(|| "none".to_owned(), ToString::to_string)
}
