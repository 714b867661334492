//! Deadlines of real servers that drain.

use std::time::Duration;

use super::Simulation;
use super::deadlines::{Cause, Wrong};
use crate::subject::{Subject, drain_timeout};

impl Simulation {
    /// Returns the maximum duration of a drain at the virtual server of `subject`.
    pub(super) fn drain_timeout(&self, subject: &Subject) -> Option<Duration> {
        let server = subject.virtual_server()?;
        drain_timeout(self.compiler.desired(), &self.config, server)
    }

    /// Renews the deadlines of drains whose Service has another drain timeout since. A poll of the
    /// drain notices it.
    pub(super) fn follow_drain_timeouts(&mut self) {
        let mut deadlines = std::mem::take(&mut self.deadlines);
        deadlines.each(|subject, wrong, waiting| {
            let timeout = self.drain_timeout(subject);
            if wrong == Wrong::Draining && waiting.timeout != timeout {
                waiting.timeout = timeout;
                waiting.until = self.deadline(subject, wrong, Cause::Anew, waiting.meddled);
            }
        });
        self.deadlines = deadlines;
    }

    /// Extends deadlines: drains start again, or have another timeout.
    pub(super) fn extend_drains(&mut self) {
        let mut deadlines = std::mem::take(&mut self.deadlines);
        deadlines.each(|subject, wrong, waiting| {
            if wrong.is_at_rest() {
                let until = self.deadline(subject, wrong, Cause::Anew, waiting.meddled);
                waiting.until = until.and_then(|until| Some(until.max(waiting.until?)));
                if wrong == Wrong::Draining {
                    waiting.until = until;
                }
            }
        });
        self.deadlines = deadlines;
    }
}
