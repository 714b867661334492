//! Watches the configuration file. Fields that decide about the tables take effect at once, the rest after a
//! restart.

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

/// Result of reading the file again.
#[derive(Clone, Debug, PartialEq)]
pub enum ReloadOutcome {
    /// Nothing that matters has changed.
    Same,
    /// The file is wrong. What holds goes on to hold.
    Broken(ConfigErrors),
    /// Some fields have other values.
    Changed {
        /// The configuration that holds from now on.
        holds: Box<Resolved>,
        /// The fields that take effect at once, in the order of the table of fields.
        applied: Vec<Change>,
        /// The fields that take effect when the daemon starts again; `holds` has them as they were.
        restart: Vec<Change>,
    },
}

/// Compares what holds with what was read. All of [`NodeConfig`] takes effect at once but the node's name, the API server's addresses
/// and the daemon's own ports; these, [`sources::config::DaemonSettings`] and the way to the API server were used at the start and
/// need another one.
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

/// Time after which a file that is wrong, or could not be read, is read again without a change: file descriptors may have been
/// short.
const RETRY_READ: Duration = Duration::from_secs(10);

/// Reads the file again whenever it changes.
#[derive(Debug)]
pub struct ConfigWatcher {
    /// The file.
    pub path: PathBuf,
    /// The command line's settings; the same as at the start.
    pub overrides: NodeOverrides,
    /// The name of this host; the same as at the start.
    pub hostname: String,
    /// Counts the readings.
    pub metrics: Arc<Metrics>,
    /// The configuration in force; only the latest one matters.
    pub config: watch::Sender<Arc<Resolved>>,
    /// Asks for a reading at once, which is logged whatever it finds (SIGHUP).
    pub reload: Arc<Notify>,
}

impl ConfigWatcher {
    /// Watches the file until no receiver of the configuration is left. The first reading comes at once: the file
    /// may have changed since the start.
    pub async fn run(mut self) {
        let paths = [self.path.clone()];
        let reload = Arc::clone(&self.reload);
        let mut told = None;
        let mut asked = false;
        loop {
            // Watch first, read then: what changes in between is read again.
            let changes = Changes::at(&paths);
            let read = load(Some(&self.path), &self.overrides, &self.hostname);
            let outcome = compare(&self.in_force(), read);
            self.act(outcome, &mut told, asked);
            asked = tokio::select! {
                () = changes.settled() => false,
                () = sleep(RETRY_READ), if told.is_some() => false,
                () = reload.notified() => true,
                () = self.config.closed() => return,
            }
        }
    }

    fn in_force(&self) -> Arc<Resolved> {
        Arc::clone(&self.config.borrow())
    }

    /// Applies the outcome of a reading. `told` holds the logged errors of the file. An `asked` reading is logged and counted
    /// whatever it found.
    fn act(&mut self, outcome: ReloadOutcome, told: &mut Option<ConfigErrors>, asked: bool) {
        match outcome {
            // A file that is right again counts, even if it is what it was before.
            ReloadOutcome::Same if told.take().is_some() => {
                info!("configuration: the file is right again");
            }
            ReloadOutcome::Same if asked => info!("configuration: the file has no changes"),
            ReloadOutcome::Same => return,
            ReloadOutcome::Broken(errors) => {
                if asked {
                    *told = None;
                }
                self.refuse(errors, told);
                return;
            }
            ReloadOutcome::Changed {
                holds,
                applied,
                restart,
            } => {
                *told = None;
                self.apply(*holds, &applied, &restart);
            }
        }
        self.metrics.config_loaded(true, true, SystemTime::now());
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
            warn!("configuration: {change}, which takes effect when kube-ipvsd starts again");
        }
        self.config.send_if_modified(|config| {
            // Another task follows these, and may have found others since the reading.
            holds.node.api_server.clone_from(&config.node.api_server);
            *config = Arc::new(holds);
            // Else nothing changes for the receivers; the next reading is compared with this one.
            !applied.is_empty()
        });
    }
}
