//! Events that go into the reconciler and effects that come out of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use model::cluster::ClusterEvent;
use model::config::NodeConfig;
use model::finding::Finding;
use model::kernel::{ObserveError, OpError, OpOutcome};
use model::plan::{PlannedOp, Stage, Summary};
use model::snapshot::{Scope, Snapshot};

/// An input of the reconciler.
#[derive(Debug)]
pub enum Event {
    /// A source spoke.
    Cluster(ClusterEvent),
    /// An [`Effect::Observe`] was carried out.
    Observed(Scope, Result<Snapshot, ObserveError>),
    /// An [`Effect::Apply`] was carried out: one outcome for each op, same order.
    Applied(Stage, Vec<OpOutcome>),
    /// An interface of the node changed.
    NodeChanged,
    /// The kernel reported that entries left the dummy device.
    Lost(Lost),
    /// A check outside the loop found this. It stays until [`Event::Gone`].
    Found(Finding),
    /// A finding of a check outside the loop no longer holds.
    Gone(Finding),
    /// The configuration is another one now.
    Configured(Box<NodeConfig>),
    /// [`poll_timeout`](crate::Reconciler::poll_timeout) has come.
    Timeout,
}

/// Entries that left the dummy device, by us or by another program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The device itself, or more addresses than are named.
    pub device: bool,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
}

/// An action that the reconciler asks for. An `Observe` or `Apply` is the last of its batch, and its answer is the
/// next event: the kernel has one writer, and that writer waits.
#[derive(Debug)]
pub enum Effect {
    /// Read this.
    Observe(Scope),
    /// Do this.
    Apply(Stage),
    /// Tell the operator.
    Report(Report),
}

/// A fact that is logged or counted.
#[derive(Debug)]
pub enum Report {
    /// A synchronisation ended.
    Synced {
        /// The cause of the sync.
        trigger: Trigger,
        /// The number of planned ops by kind.
        summary: Summary,
        /// How many ops failed or were not tried because one before them failed.
        failed: usize,
        /// How long it took, reading included.
        took: Duration,
    },
    /// All of the kernel was read and compared since the one before, in one piece or in several.
    Audited,
    /// The kernel was not as it had been left; this repairs it.
    Drift(PlannedOp),
    /// An op failed. It is tried again.
    OpFailed(PlannedOp, OpError),
    /// The kernel could not be read. It is tried again.
    ObserveFailed(ObserveError),
    /// Something is odd now.
    FindingRaised(Finding),
    /// It no longer is.
    FindingCleared(Finding),
    /// Deletions wait: a source has not delivered its first list, or the kernel's table changed while it
    /// was read.
    DeletionsWithheld(usize),
}

/// The cause of a synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// The cluster changed.
    Change,
    /// Something that failed is tried again.
    Retry,
    /// All tables are compared. Where virtual servers are many, their real servers are read later.
    Audit,
    /// The real servers of some virtual servers are compared, as a part of an audit.
    AuditSlice,
    /// Connections of draining real servers are counted.
    Drain,
    /// An interface of the node changed.
    Node,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 6] = [
        Self::Change,
        Self::Retry,
        Self::Audit,
        Self::AuditSlice,
        Self::Drain,
        Self::Node,
    ];

    /// The name, for logs, `/statusz` and labels of metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Retry => "retry",
            Self::Audit => "audit",
            Self::AuditSlice => "audit_slice",
            Self::Drain => "drain",
            Self::Node => "node",
        }
    }

    /// Returns true if the kernel is read to find out what others did to it.
    #[must_use]
    pub fn is_audit(self) -> bool {
        matches!(self, Self::Audit | Self::AuditSlice)
    }
}
