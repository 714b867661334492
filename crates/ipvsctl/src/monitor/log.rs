//! Reads the log of kube-ipvsd page by page.

use std::net::SocketAddr;

use crate::input::daemon;
use crate::schema::DaemonChange;

/// Maximum number of pages that are read at once. The rest is read the next time.
const PAGES: usize = 20;

/// The log of kube-ipvsd, from where it was last read.
#[derive(Debug)]
pub struct DaemonLog {
    address: SocketAddr,
    started: String,
    next: u64,
    /// False if kube-ipvsd does not answer.
    pub is_known: bool,
    /// True if changes since the last reading of the tables are no longer in the log.
    pub has_gap: bool,
}

impl DaemonLog {
    /// Returns the log from now on.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let mut log = Self {
            address,
            started: String::new(),
            next: 0,
            is_known: false,
            has_gap: false,
        };
        if let Ok(page) = daemon::changes(address, None) {
            log.is_known = true;
            log.next = page.next;
            log.started = page.started;
        }
        log
    }

    /// Returns true if every change of kube-ipvsd since the last reading of the tables is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_known && !self.has_gap
    }

    /// Returns the changes since the last call.
    pub fn take(&mut self) -> Vec<DaemonChange> {
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
                self.has_gap |= page.missed > 0;
                changes.extend(page.changes);
            }
            if is_end {
                break;
            }
        }
        changes
    }
}
