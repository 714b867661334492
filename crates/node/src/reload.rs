//! Watches the configuration file. Fields that affect the tables take effect at once, the other
//! fields after a restart.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::NodeConfig;
use sources::config::{Resolved, load};
use sources::watch_files::Changes;
use sources::{ConfigErrors, NodeOverrides};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::metrics::Metrics;

/// A field with a new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path of the field: `ipvs.scheduler`.
    pub path: &'static str,
    /// Old value, on one line.
    pub from: String,
    /// Value in the file.
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} is now {:?}", self.path, self.from, self.to)
    }
}

/// Result of reading the file again.
#[derive(Clone, Debug, PartialEq)]
pub enum ReloadOutcome {
    /// No field has changed.
    Same,
    /// The file is invalid. The configuration in force stays.
    Broken(ConfigErrors),
    /// Some fields have new values.
    Changed {
        /// Configuration in force from now on.
        holds: Box<Resolved>,
        /// Fields that take effect at once, in the order of the table of fields.
        applied: Vec<Change>,
        /// Fields that take effect after a restart. `holds` has their old values.
        restart: Vec<Change>,
    },
}

/// Compares the configuration in force with a reading of the file.
///
/// The fields of [`NodeConfig`] take effect at once, except the node's name, the API server's
/// addresses and the daemon's own ports. These fields, [`sources::config::DaemonSettings`] and the
/// kubeconfig are used at the start and need a restart.
#[must_use]
pub fn compare(old: &Resolved, new: Result<Resolved, ConfigErrors>) -> ReloadOutcome {
    let new = match new {
        Ok(new) => new,
        Err(errors) => return ReloadOutcome::Broken(errors),
    };
    let holds = Resolved {
        node: NodeConfig {
            node_name: old.node.node_name.clone(),
            api_server: old.node.api_server.clone(),
            listener_ports: old.node.listener_ports.clone(),
            ..new.node.clone()
        },
        settings: old.settings.clone(),
        kubeconfig: old.kubeconfig.clone(),
        warnings: new.warnings.clone(),
        taken_from: new.taken_from.clone(),
        origins: new.origins.clone(),
    };
    let (applied, restart) = (changes(old, &holds), changes(&holds, &new));
    if applied.is_empty() && restart.is_empty() {
        return ReloadOutcome::Same;
    }
    ReloadOutcome::Changed {
        holds: Box::new(holds),
        applied,
        restart,
    }
}

fn changes(from: &Resolved, to: &Resolved) -> Vec<Change> {
    // Both lists contain every field in the order of the table.
    (from.values().iter().zip(to.values()))
        .filter(|(from, to)| from.value != to.value)
        .map(|(from, to)| Change {
            path: to.path,
            from: from.text(),
            to: to.text(),
        })
        .collect()
}

/// Time after which a file that is invalid or could not be read is read again even if it does not
/// change: the reason may be a lack of file descriptors.
const RETRY_READ: Duration = Duration::from_secs(10);

/// Reads the file again whenever it changes.
#[derive(Debug)]
pub struct ConfigWatcher {
    /// Path of the file.
    pub path: PathBuf,
    /// Settings of the command line, as at the start.
    pub overrides: NodeOverrides,
    /// Name of this host, as at the start.
    pub hostname: String,
    /// Metrics that count the readings.
    pub metrics: Arc<Metrics>,
    /// Configuration in force.
    pub config: watch::Sender<Arc<Resolved>>,
    /// Requests a reading at once (SIGHUP). Its result is always logged.
    pub reload: Arc<Notify>,
}

impl ConfigWatcher {
    /// Watches the file until the configuration has no receiver. The first reading is immediate,
    /// since the file may have changed since the start.
    pub async fn run(mut self) {
        let paths = [self.path.clone()];
        let reload = Arc::clone(&self.reload);
        let mut logged = None;
        let mut requested = false;
        loop {
            // The watch starts before the reading, so that no change is missed.
            let changes = Changes::at(&paths);
            let read = load(Some(&self.path), &self.overrides, &self.hostname);
            let outcome = compare(&self.in_force(), read);
            self.act(outcome, &mut logged, requested);
            requested = tokio::select! {
                () = changes.settled() => false,
                () = sleep(RETRY_READ), if logged.is_some() => false,
                () = reload.notified() => true,
                () = self.config.closed() => return,
            }
        }
    }

    fn in_force(&self) -> Arc<Resolved> {
        Arc::clone(&self.config.borrow())
    }

    /// Applies the outcome of a reading. `logged` has the errors of the file that were logged. A
    /// `requested` reading is always logged and counted.
    fn act(&mut self, outcome: ReloadOutcome, logged: &mut Option<ConfigErrors>, requested: bool) {
        match outcome {
            // A file that is valid again counts as a reload, even if it equals the configuration in
            // force.
            ReloadOutcome::Same if logged.take().is_some() => {
                info!("configuration: the file is valid again and has no changes");
            }
            ReloadOutcome::Same if requested => info!("configuration: the file has no changes"),
            ReloadOutcome::Same => return,
            ReloadOutcome::Broken(errors) => {
                if requested {
                    *logged = None;
                }
                self.refuse(errors, logged);
                return;
            }
            ReloadOutcome::Changed {
                holds,
                applied,
                restart,
            } => {
                *logged = None;
                self.apply(*holds, &applied, &restart);
            }
        }
        self.metrics.config_loaded(true, true, SystemTime::now());
    }

    fn refuse(&self, errors: ConfigErrors, logged: &mut Option<ConfigErrors>) {
        if logged.as_ref() == Some(&errors) {
            return;
        }
        for problem in &errors.0 {
            error!("configuration: {problem}; the configuration in force stays");
        }
        self.metrics.config_loaded(false, true, SystemTime::now());
        *logged = Some(errors);
    }

    fn apply(&mut self, mut holds: Resolved, applied: &[Change], restart: &[Change]) {
        let before = self.in_force();
        for warning in &holds.warnings {
            if !before.warnings.contains(warning) {
                warn!("configuration: {warning}");
            }
        }
        for change in applied {
            info!("configuration: {change}");
        }
        for change in restart {
            warn!("configuration: {change}; it takes effect after a restart of kube-ipvsd");
        }
        self.config.send_if_modified(|config| {
            // Another task updates these addresses and may have changed them since the reading.
            holds.node.api_server.clone_from(&config.node.api_server);
            *config = Arc::new(holds);
            // Without an applied change nothing is new for the receivers; the value is kept for the
            // next comparison.
            !applied.is_empty()
        });
    }
}
