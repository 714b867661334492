//! What the loop tells the operator. INFO is a change of state, WARN what would wake someone.

mod repeats;

use std::time::Instant;

use model::plan::PlannedOp;
use model::{Finding, Level, chain};
use sources::SourceEvent;
use tracing::{debug, error, info, warn};

use self::repeats::{Repeats, Seen};
use reconciler::{Event, Report, Trigger};

/// How many failed ops, and how many repairs, of one synchronisation are told one by one: where one
/// cause fails ten thousand, ten say what it is.
const SHOWN: usize = 10;

/// Logs reports and remembers how it ended.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    failed: usize,
    drifted: usize,
    /// Errors that were logged before, so that one that lasts does not fill the log.
    repeats: Repeats,
    /// True if the sync under way logged an error.
    logged: bool,
    /// Failed ops of the last synchronisation.
    pub(super) last_failed: usize,
    /// Problems that sources had.
    pub(super) problems: usize,
}

impl Reporter {
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
                if *failed > 0 && !logged && !is_change {
                    debug!(cause, milliseconds, failed, "synced in part. {summary}");
                } else if *failed > 0 {
                    warn!(cause, milliseconds, failed, "synced in part. {summary}");
                } else if changed {
                    info!(cause, milliseconds, "synced. {summary}");
                } else {
                    debug!(cause, milliseconds, "synced, nothing to do");
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
            Report::FindingRaised(finding) => raised(finding),
            Report::FindingCleared(finding) => info!(code = %finding.code, "solved: {finding}"),
            Report::DeletionsWithheld(count) => warn!(
                count,
                "deletions wait: somebody else changed the IPVS table while it was read"
            ),
        }
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

    /// What of a source's words concerns the reconciler; the rest is logged.
    pub(super) fn source_event(&mut self, event: SourceEvent) -> Option<Event> {
        match event {
            SourceEvent::Cluster(event) => Some(Event::Cluster(event)),
            SourceEvent::Trouble(problem) => {
                self.problems += 1;
                error!("{problem}");
                None
            }
            SourceEvent::Recovered { subject } => {
                info!("{subject}: recovered");
                None
            }
        }
    }
}

fn raised(finding: &Finding) {
    match finding.code.level() {
        Level::Info => info!(code = %finding.code, "{finding}"),
        Level::Warning => warn!(code = %finding.code, "{finding}"),
        Level::Error => error!(code = %finding.code, "{finding}"),
    }
}

fn service(planned: &PlannedOp) -> String {
    (planned.owner.as_ref()).map_or_else(|| "none".to_owned(), ToString::to_string)
}
