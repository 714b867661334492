//! Follows the configuration file: what decides about the tables holds at once, the rest after a restart.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use model::NodeConfig;
use sources::config::{Resolved, load};
use sources::watch_files::Changes;
use sources::{ConfigErrors, NodeOverrides};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::metrics::Metrics;
use reconciler::Event;

/// A field that has another value now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field: `ipvs.scheduler`.
    pub path: &'static str,
    /// Its value so far, on one line.
    pub from: String,
    /// Its value in the file.
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} is now {:?}", self.path, self.from, self.to)
    }
}

/// What a file that was read again means.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing that matters has changed.
    Same,
    /// The file is wrong. What holds goes on to hold.
    Broken(ConfigErrors),
    /// Some fields have other values.
    Changed {
        /// What holds from now on.
        holds: Box<Resolved>,
        /// The fields that take effect at once, in the order of the table of fields.
        applied: Vec<Change>,
        /// The fields that take effect when the daemon starts again; `holds` has them as they were.
        restart: Vec<Change>,
    },
}

/// Compares what holds with what was read. All of [`NodeConfig`] but the node's name takes effect at
/// once; that name, [`sources::config::DaemonSettings`] and the way to the API server were used at the
/// start and need another one.
#[must_use]
pub fn compare(old: &Resolved, new: Result<Resolved, ConfigErrors>) -> Verdict {
    let new = match new {
        Ok(new) => new,
        Err(errors) => return Verdict::Broken(errors),
    };
    let holds = Resolved {
        node: NodeConfig {
            node_name: old.node.node_name.clone(),
            ..new.node.clone()
        },
        settings: old.settings.clone(),
        kubeconfig: old.kubeconfig.clone(),
        warnings: new.warnings.clone(),
        origins: new.origins.clone(),
    };
    let (applied, restart) = (changes(old, &holds), changes(&holds, &new));
    if applied.is_empty() && restart.is_empty() {
        return Verdict::Same;
    }
    Verdict::Changed {
        holds: Box::new(holds),
        applied,
        restart,
    }
}

fn changes(from: &Resolved, to: &Resolved) -> Vec<Change> {
    // Both lists hold every field, in the order of the table.
    (from.values().iter().zip(to.values()))
        .filter(|(from, to)| from.value != to.value)
        .map(|(from, to)| Change {
            path: to.path,
            from: from.text(),
            to: to.text(),
        })
        .collect()
}

/// Reads the file again whenever it changes.
#[derive(Debug)]
pub struct Follower {
    /// The file.
    pub path: PathBuf,
    /// What the command line says besides; the same as at the start.
    pub overrides: NodeOverrides,
    /// The name of this host; the same as at the start.
    pub hostname: String,
    /// What holds.
    pub holds: Resolved,
    /// Counts the readings.
    pub metrics: Arc<Metrics>,
    /// Where another configuration of the node goes.
    pub events: mpsc::UnboundedSender<Event>,
    /// Where what holds goes, as JSON, before the event.
    pub shown: mpsc::UnboundedSender<Arc<str>>,
}

/// The loop has ended.
struct Ended;

impl Follower {
    /// Follows the file until the loop has ended. The first reading comes at once: the file may have
    /// changed since the start.
    pub async fn run(mut self) {
        let paths = [self.path.clone()];
        let mut told = None;
        loop {
            // Watch first, read then: what changes in between is read again.
            let changes = Changes::at(&paths);
            let read = load(Some(&self.path), &self.overrides, &self.hostname);
            let verdict = compare(&self.holds, read);
            if self.act(verdict, &mut told).is_err() {
                return;
            }
            tokio::select! {
                () = changes.settled() => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// `told` is what is wrong with the file, as far as it was logged.
    fn act(&mut self, verdict: Verdict, told: &mut Option<ConfigErrors>) -> Result<(), Ended> {
        match verdict {
            // A file that is right again counts, even if it is what it was before.
            Verdict::Same if told.take().is_none() => return Ok(()),
            Verdict::Same => info!("configuration: the file is right again"),
            Verdict::Broken(errors) => {
                self.refuse(errors, told);
                return Ok(());
            }
            Verdict::Changed {
                holds,
                applied,
                restart,
            } => {
                *told = None;
                self.apply(*holds, &applied, &restart)?;
            }
        }
        self.metrics.config_loaded(true, true, SystemTime::now());
        Ok(())
    }

    fn refuse(&self, errors: ConfigErrors, told: &mut Option<ConfigErrors>) {
        if told.as_ref() == Some(&errors) {
            return;
        }
        for problem in &errors.0 {
            error!("configuration: {problem}; the old one holds");
        }
        self.metrics.config_loaded(false, true, SystemTime::now());
        *told = Some(errors);
    }

    fn apply(
        &mut self,
        holds: Resolved,
        applied: &[Change],
        restart: &[Change],
    ) -> Result<(), Ended> {
        for warning in &holds.warnings {
            if !self.holds.warnings.contains(warning) {
                warn!("configuration: {warning}");
            }
        }
        for change in applied {
            info!("configuration: {change}");
        }
        for change in restart {
            warn!("configuration: {change}, which takes effect when kube-ipvsd starts again");
        }
        self.holds = holds;
        if applied.is_empty() {
            return Ok(());
        }
        // Nobody may show it.
        let _ = self.shown.send(self.holds.document().to_string().into());
        let config = Box::new(self.holds.node.clone());
        (self.events.send(Event::Configured(config))).map_err(|_| Ended)
    }
}
