//! Logs what the operator needs to know of the loop. INFO is a change of state, WARN what would wake someone.

mod budget;
mod repeats;

use std::collections::BTreeMap;
use std::time::Instant;

use model::finding::Code;
use model::plan::PlannedOp;
use model::{Finding, Level, Name, ObjectName, chain};
use sources::{ProblemKind, SourceEvent, SourceProblem};
use tracing::{debug, error, info, warn};

use self::budget::{Line, LineBudget};
use self::repeats::{Repeats, Seen};
use reconciler::{Event, Report, Trigger};

/// How many failed ops, and how many repairs, of one synchronisation are told one by one: where one
/// cause fails ten thousand, ten say what it is.
const SHOWN: usize = 10;

/// Logs reports and remembers how it ended.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// The name of this node's Node.
    node: Name,
    failed: usize,
    drifted: usize,
    /// Errors that were logged before, so that one that lasts does not fill the log.
    repeats: Repeats,
    /// Lines about findings of each code, and about syncs: tenants can cause both.
    findings: BTreeMap<Code, LineBudget>,
    syncs: Option<LineBudget>,
    /// True if the sync under way logged an error.
    logged: bool,
    /// Failed ops of the last synchronisation.
    pub(super) last_failed: usize,
    /// Problems that sources had.
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
            Report::Synced {
                trigger,
                summary,
                failed,
                took,
            } => {
                self.last_failed = *failed;
                for (count, what) in [(self.failed, "ops failed"), (self.drifted, "repairs")] {
                    if count > SHOWN {
                        warn!("{} more {what}, not shown", count - SHOWN);
                    }
                }
                (self.failed, self.drifted) = (0, 0);
                let logged = std::mem::take(&mut self.logged);
                let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let changed = summary.add + summary.change + summary.delete > 0;
                let is_change = *trigger == Trigger::Change;
                let cause = trigger.name();
                if !changed {
                    debug!(cause, milliseconds, "synced, nothing to do");
                    return;
                }
                if *failed > 0 && !logged && !is_change {
                    debug!(cause, milliseconds, failed, "synced in part. {summary}");
                    return;
                }
                let budget = self.syncs.get_or_insert_with(|| LineBudget::new(now));
                let Some(left_out) = left_out(budget.line(now), "syncs") else {
                    return;
                };
                if *failed > 0 {
                    warn!(
                        cause,
                        milliseconds, failed, "synced in part. {summary}{left_out}"
                    );
                } else {
                    info!(cause, milliseconds, "synced. {summary}{left_out}");
                }
            }
            Report::Audited => debug!("all of the kernel was compared"),
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
                    info!(code = %finding.code, "solved: {finding}{left_out}");
                }
            }
            Report::DeletionsWithheld(count) => warn!(
                count,
                "deletions wait: another program changed the IPVS table while it was read"
            ),
        }
    }

    /// Text about lines on findings of this code that were left out; `None` if this one is to be left out too.
    fn finding(&mut self, finding: &Finding, now: Instant) -> Option<String> {
        let budget = self.findings.entry(finding.code);
        let line = budget.or_insert_with(|| LineBudget::new(now)).line(now);
        left_out(line, finding.code.as_str())
    }

    /// Text about the repetitions of an error since it was logged last; `None` if it is not to be logged.
    fn is_news(&mut self, text: &str, now: Instant) -> Option<String> {
        let times = match self.repeats.see(text, now) {
            Seen::First => String::new(),
            Seen::Due { times } => format!(" ({times} times since it was logged last)"),
            Seen::Known => {
                debug!("again: {text}");
                return None;
            }
        };
        self.logged = true;
        Some(times)
    }

    /// Logs problems of a source. Returns the event for the reconciler, if there is one.
    pub(super) fn source_event(&mut self, event: SourceEvent) -> Option<Event> {
        match event {
            SourceEvent::Cluster(event) => Some(Event::Cluster(event)),
            SourceEvent::Trouble(problem) => {
                self.problems += 1;
                error!("{problem}");
                self.shrunk(problem).map(Event::Found)
            }
            SourceEvent::Recovered { subject } => {
                info!("{subject}: recovered");
                self.shrunk.remove(&subject).map(Event::Gone)
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
            consequence: "the node's entries stay as they are until then".to_owned(),
        };
        let known = (self.shrunk.entry(problem.subject)).or_insert(finding);
        Some(known.clone())
    }
}

/// The end of a line about `subject`; `None` if the line is to be left out.
fn left_out(line: Line, subject: &str) -> Option<String> {
    let (left_out, is_last) = match line {
        Line::Write { left_out } => (left_out, false),
        Line::Last { left_out } => (left_out, true),
        Line::LeaveOut => return None,
    };
    let mut text = String::new();
    if left_out > 0 {
        text = format!(" ({left_out} lines about {subject} before this one were left out)");
    }
    if is_last {
        text.push_str(" (there are many: only a line a second about ");
        text.push_str(subject);
        text.push_str(" follows; /statusz and /metrics have all)");
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
