//! `ipvsctl monitor`.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kernel::Kernel;
use model::ObjectName;
use sources::proxy;

use crate::cli::{Monitor, Select};
use crate::error::{Error, Status};
use crate::input::live;
use crate::input::owners::{Owners, selects};
use crate::interrupt::Interrupt;
use crate::monitor::authors::{Authors, real_server_of};
use crate::monitor::changes::{Place, TableChange};
use crate::monitor::log::DaemonLog;
use crate::monitor::pace::Pace;
use crate::monitor::tables::Tables;
use crate::output::changes;
use crate::output::stream::Lines;
use crate::schema::{self, API_VERSION, DaemonChange, Document as _, ServicePort};
use crate::style;
use crate::top::reader::RENAME;

/// Time after which kube-ipvsd is asked again for a change that it did not report yet.
const REPORT_DELAY: Duration = Duration::from_millis(300);

/// Prints changes until interrupted.
///
/// # Errors
///
/// The first reading of the kernel fails, or the output cannot be written.
pub fn run(args: &Monitor) -> Result<Status, Error> {
    let mut kernel = live::read_only_kernel()?;
    let owners = Owners::read(&args.named, false);
    owners.check(&args.select)?;
    let interrupt = Interrupt::install(|| {}, || {})?;
    let end = args.duration.map(|duration| Instant::now() + duration);
    let address = args.named.metrics_address.unwrap_or(proxy::METRICS);
    let mut log = DaemonLog::new(address);
    let mut watch = Watch {
        owners,
        select: args.select.clone(),
        authors: Authors::default(),
        tables: Tables::new(live::observe(&mut kernel)?),
        named: None,
    };
    style::note(&format!(
        "watching {} virtual servers; {}",
        watch.tables.len(),
        match log.is_known {
            true => format!("kube-ipvsd at {address} reports its changes"),
            false => format!("kube-ipvsd at {address} does not report its changes"),
        }
    ));
    let mut lines = Lines::stdout();
    let mut pace = Pace::new(args.interval);
    let mut pause = pace.pause(Duration::ZERO, false);
    while pause.wait(args.interval, end, &interrupt, || watch.ask(&mut log)) {
        let polled = watch.poll(&mut kernel, &mut log);
        pause = pace.pause(polled.took, polled.is_quiet);
        for change in polled.changes {
            changes::print(&change, args.output, &mut lines)?;
        }
        lines.flush()?;
    }
    Ok(Status::Done)
}

/// The tables as they were last read, and what is known about them.
struct Watch {
    owners: Owners,
    select: Select,
    authors: Authors,
    tables: Tables,
    /// Time at which the owners were read again.
    named: Option<Instant>,
}

/// Result of one reading.
struct Polled {
    /// Selected changes.
    changes: Vec<schema::TableChange>,
    /// Duration of the reading.
    took: Duration,
    /// True if the reading is complete and nothing changed.
    is_quiet: bool,
}

impl Watch {
    /// Takes the log of kube-ipvsd. Returns true if it has new changes. Their real servers are read
    /// with the next reading.
    fn ask(&mut self, log: &mut DaemonLog) -> bool {
        let reported = log.take();
        let servers = reported.iter().map(|change| real_server_of(&change.line));
        servers.flatten().for_each(|key| self.tables.hint(key));
        let is_changed = !reported.is_empty();
        self.authors.report(reported);
        is_changed
    }

    /// Reads the tables and returns what changed.
    fn poll(&mut self, kernel: &mut dyn Kernel, log: &mut DaemonLog) -> Polled {
        self.ask(log);
        let start = Instant::now();
        let read = self.tables.read(kernel);
        let took = start.elapsed();
        let found = match read {
            Ok(Some(found)) => found,
            Ok(None) => return Polled::incomplete(took),
            Err(error) => {
                style::warning(&format!("{}; reading again", model::chain(&error)));
                return Polled::incomplete(took);
            }
        };
        let time = format!("{:.3}", Timestamp::now());
        self.ask(log);
        let changes = self.described(&found, &time, log);
        self.authors.age();
        log.has_gap = false;
        Polled {
            changes,
            took,
            is_quiet: found.is_empty(),
        }
    }

    /// Returns the selected changes with their Services and authors.
    fn described(
        &mut self,
        found: &[TableChange],
        time: &str,
        log: &mut DaemonLog,
    ) -> Vec<schema::TableChange> {
        let is_unowned = |change: &TableChange| match change.place {
            Place::VirtualServer(key) => self.owners.get(&key).is_none(),
            _ => false,
        };
        // A foreign virtual server never has a name.
        let is_due = (self.named).is_none_or(|named| named.elapsed() >= RENAME);
        if is_due && found.iter().any(is_unowned) {
            self.named = Some(Instant::now());
            self.owners.refresh();
        }
        let mut has_asked_again = false;
        let mut changes = Vec::new();
        for change in found {
            let mut made = self.authors.of(change);
            if made.is_none() && log.is_complete() && !has_asked_again {
                has_asked_again = true;
                std::thread::sleep(REPORT_DELAY);
                self.ask(log);
                made = self.authors.of(change);
            }
            if self.selects(change, made.as_ref()) {
                changes.push(self.describe(change, made, time, log.is_complete()));
            }
        }
        changes
    }

    /// Returns true if the change is selected. The owner of a new virtual server may be known only
    /// by the change that kube-ipvsd `made`.
    fn selects(&self, change: &TableChange, made: Option<&DaemonChange>) -> bool {
        match change.place {
            Place::VirtualServer(key) => {
                let known = self.owners.get(&key).map(|owner| owner.service.clone());
                let made = made.and_then(|made| made.service.as_ref());
                let owner = known.or_else(|| {
                    made.map(|service| ObjectName::new(&*service.namespace, &*service.name))
                });
                selects(&self.select, &key, owner.as_ref())
            }
            _ => self.select.is_everything(),
        }
    }

    fn describe(
        &self,
        change: &TableChange,
        made: Option<DaemonChange>,
        time: &str,
        is_complete: bool,
    ) -> schema::TableChange {
        let owner = match change.place {
            Place::VirtualServer(key) => self.owners.get(&key).map(ServicePort::from),
            _ => None,
        };
        let author = match (&made, is_complete) {
            (Some(_), _) => "kube-ipvsd",
            (None, true) => "another program",
            (None, false) => "unknown",
        };
        let made = made.unwrap_or_default();
        schema::TableChange {
            api_version: API_VERSION,
            kind: schema::TableChange::KIND,
            time: time.to_owned(),
            effect: schema::effect_name(change.effect),
            line: change.line.clone(),
            service: owner.or(made.service),
            author,
            reason: Some(made.reason).filter(|reason| !reason.is_empty()),
            latency_seconds: made.latency_seconds,
        }
    }
}

impl Polled {
    fn incomplete(took: Duration) -> Self {
        Self {
            changes: Vec::new(),
            took,
            is_quiet: false,
        }
    }
}
