//! `ipvsctl monitor`.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kernel::Kernel;
use model::{Scope, Snapshot};
use sources::proxy;

use crate::cli::{Monitor, Select};
use crate::error::{Error, Status};
use crate::input::owners::{Owners, selects};
use crate::input::{daemon, live};
use crate::interrupt::Interrupt;
use crate::monitor::authors::Authors;
use crate::monitor::changes::{Place, TableChange, between};
use crate::output::changes;
use crate::output::stream::Lines;
use crate::schema::{self, API_VERSION, DaemonChange, Document as _, ServicePort};
use crate::style;
use crate::top::reader::pause;

/// Time after which kube-ipvsd is asked again for a change that it did not report yet.
const REPORT_DELAY: Duration = Duration::from_millis(300);

/// Maximum number of pages of the log that are read after one reading of the tables. The rest is
/// read after the next one.
const PAGES: usize = 20;

/// Prints changes until interrupted.
///
/// # Errors
///
/// The first reading of the kernel fails, or the output cannot be written.
pub fn run(args: &Monitor) -> Result<Status, Error> {
    let mut kernel = live::read_only_kernel()?;
    let owners = Owners::read(&args.named, false);
    owners.check(&args.select)?;
    let interrupt = Interrupt::install()?;
    let end = args.duration.map(|duration| Instant::now() + duration);
    let address = args.named.metrics_address.unwrap_or(proxy::METRICS);
    let mut log = DaemonLog::new(address);
    let mut watch = Watch {
        owners,
        select: args.select.clone(),
        authors: Authors::default(),
        before: live::observe(&mut kernel)?,
    };
    style::note(&format!(
        "watching {} virtual servers; {}",
        watch.before.tables.virtual_servers.len(),
        match log.is_known {
            true => format!("kube-ipvsd at {address} reports its changes"),
            false => format!("kube-ipvsd at {address} does not report its changes"),
        }
    ));
    let mut lines = Lines::stdout();
    let mut took = Duration::ZERO;
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let rest = pause(args.interval, took).min(left.unwrap_or(Duration::MAX));
        if interrupt.wait(rest) || left.is_some_and(|left| left.is_zero()) {
            return Ok(Status::Done);
        }
        let start = Instant::now();
        let changes = watch.poll(&mut kernel, &mut log);
        took = start.elapsed();
        for change in changes {
            changes::print(&change, args.output, &mut lines)?;
        }
        lines.flush()?;
    }
}

/// The tables as they were last read, and what is known about them.
struct Watch {
    owners: Owners,
    select: Select,
    authors: Authors,
    before: Snapshot,
}

impl Watch {
    /// Reads the tables and returns what changed. A reading that fails, or during which the table
    /// changed, has no changes; the next one has them.
    fn poll(&mut self, kernel: &mut dyn Kernel, log: &mut DaemonLog) -> Vec<schema::TableChange> {
        let after = match kernel.observe(&Scope::EVERYTHING) {
            Ok(after) if after.torn => return Vec::new(),
            Ok(after) => after,
            Err(error) => {
                style::warning(&format!("{}; reading again", model::chain(&error)));
                return Vec::new();
            }
        };
        let time = format!("{:.3}", Timestamp::now());
        let found = between(&self.before, &after);
        self.before = after;
        self.authors.report(log.take());
        let changes = self.described(&found, &time, log);
        self.authors.age();
        changes
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
        if found.iter().any(is_unowned) {
            self.owners.refresh();
        }
        let mut has_asked_again = false;
        let mut changes = Vec::new();
        for change in found {
            let mut made = self.authors.of(change);
            if made.is_none() && log.is_known && !has_asked_again {
                has_asked_again = true;
                std::thread::sleep(REPORT_DELAY);
                self.authors.report(log.take());
                made = self.authors.of(change);
            }
            if self.selects(change, made.as_ref()) {
                changes.push(self.describe(change, made, time, log.is_known));
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
                let owner = known.or_else(|| made.map(ServicePort::owner));
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
        is_known: bool,
    ) -> schema::TableChange {
        let owner = match change.place {
            Place::VirtualServer(key) => self.owners.get(&key).map(ServicePort::from),
            _ => None,
        };
        let author = match (&made, is_known) {
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

/// The log of kube-ipvsd, from where it was last read.
struct DaemonLog {
    address: SocketAddr,
    started: String,
    next: u64,
    /// False if kube-ipvsd does not answer.
    is_known: bool,
}

impl DaemonLog {
    /// Returns the log from now on.
    fn new(address: SocketAddr) -> Self {
        let mut log = Self {
            address,
            started: String::new(),
            next: 0,
            is_known: false,
        };
        if let Ok(page) = daemon::changes(address, None) {
            log.is_known = true;
            log.next = page.next;
            log.started = page.started;
        }
        log
    }

    /// Returns the changes since the last call.
    fn take(&mut self) -> Vec<DaemonChange> {
        let mut changes = Vec::new();
        for _ in 0..PAGES {
            let Ok(page) = daemon::changes(self.address, Some(self.next)) else {
                self.is_known = false;
                return changes;
            };
            let is_restarted = self.is_known && page.started != self.started;
            let is_end = page.changes.is_empty() && !is_restarted;
            self.is_known = true;
            self.started = page.started;
            // A daemon that started again counts from 1.
            self.next = if is_restarted { 0 } else { page.next };
            if !is_restarted {
                changes.extend(page.changes);
            }
            if is_end {
                break;
            }
        }
        changes
    }
}
