//! Events that the reconciler receives and effects that it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use model::cluster::ClusterEvent;
use model::config::NodeConfig;
use model::finding::Finding;
use model::kernel::{ObserveError, OpError, OpOutcome};
use model::names::{Name, ObjectName};
use model::plan::{PlannedOp, Stage, Summary};
use model::policy::CheckTarget;
use model::snapshot::{Scope, Snapshot};

/// An input of the reconciler.
#[derive(Debug)]
pub enum Event {
    /// A source reported a change of the cluster.
    Cluster(ClusterEvent),
    /// Answer to [`Effect::Observe`].
    Observed(Scope, Result<Snapshot, ObserveError>),
    /// Answer to [`Effect::Apply`]: one outcome for each op, in the same order.
    Applied(Stage, Vec<OpOutcome>),
    /// An interface of the node changed.
    NodeChanged,
    /// The kernel reported that entries left the dummy device.
    Lost(LostEntries),
    /// A check outside the loop reports a finding. It stays until [`Event::Gone`].
    Found(Finding),
    /// A finding of a check outside the loop is resolved.
    Gone(Finding),
    /// Results of health checks: the error of a target that fails, or `None` if it is healthy
    /// again or no longer probed.
    Checked(BTreeMap<CheckTarget, Option<Name>>),
    /// The configuration changed.
    Configured(Box<NodeConfig>),
    /// The time [`poll_timeout`](crate::Reconciler::poll_timeout) has passed.
    Timeout,
}

/// Entries that left the dummy device, deleted by this process or by another program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostEntries {
    /// True if the device itself was deleted, or if more addresses were lost than are named.
    pub device: bool,
    /// Addresses that were deleted.
    pub addresses: BTreeSet<IpAddr>,
}

/// An action that the caller executes.
///
/// An `Observe` or `Apply` is the last effect of its batch, and its answer is the next event. The
/// kernel has one writer, and that writer waits for each answer.
#[derive(Debug)]
pub enum Effect {
    /// Read this part of the kernel's tables.
    Observe(Scope),
    /// Apply the ops of this stage.
    Apply(Stage),
    /// Log or count this fact.
    Report(Report),
}

/// A fact to log or count.
#[derive(Debug)]
pub enum Report {
    /// A sync ended.
    Synced {
        /// The cause of the sync.
        trigger: Trigger,
        /// True for the first sync of this process.
        first: bool,
        /// The number of planned ops by kind.
        summary: Summary,
        /// The number of ops that succeeded, by kind.
        done: Summary,
        /// Number of ops that failed or were skipped because a prerequisite failed.
        failed: usize,
        /// Duration of the sync, including its readings.
        took: Duration,
    },
    /// All kernel tables were read and compared since the last such report, in one audit or in
    /// several slices.
    Audited,
    /// Another program changed the kernel. This op repairs the difference.
    Drift(PlannedOp),
    /// An op failed. Its entry is retried.
    OpFailed(PlannedOp, OpError),
    /// A reading of the kernel failed. It is retried.
    ObserveFailed(ObserveError),
    /// A problem was found.
    FindingRaised(Finding),
    /// A problem was resolved.
    FindingCleared(Finding),
    /// Targets of health checks whose Services changed, with the Services that use them now. A
    /// target without a Service is no longer probed.
    ChecksWanted(BTreeMap<CheckTarget, BTreeSet<ObjectName>>),
    /// Number of real servers that started with their full weight although their Service has slow
    /// start, because too many others are in a slow start.
    SlowStartsSkipped(usize),
    /// Number of deletions that wait, because a source has not delivered its first list or because
    /// the last dump was torn.
    DeletionsWithheld(usize),
}

/// The cause of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// The cluster or the configuration changed.
    Change,
    /// A failed entry or reading is retried.
    Retry,
    /// All tables are compared. In a large table, slices compare the real servers.
    Audit,
    /// A slice of a large table is compared with its real servers.
    AuditSlice,
    /// Connections of draining real servers are counted.
    Drain,
    /// An interface of the node changed.
    Node,
    /// Weights of real servers in a slow start grow.
    SlowStart,
}

impl Trigger {
    /// All triggers.
    pub const ALL: [Self; 7] = [
        Self::Change,
        Self::Retry,
        Self::Audit,
        Self::AuditSlice,
        Self::Drain,
        Self::Node,
        Self::SlowStart,
    ];

    /// Returns the name used in logs and as a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Retry => "retry",
            Self::Audit => "audit",
            Self::AuditSlice => "audit_slice",
            Self::Drain => "drain",
            Self::Node => "node",
            Self::SlowStart => "slow_start",
        }
    }

    /// Returns the name for people and in `/statusz`: `first sync` for the first sync of a
    /// process, else [`Self::name`].
    #[must_use]
    pub fn cause(self, first: bool) -> &'static str {
        if first { "first sync" } else { self.name() }
    }

    /// Returns true if the sync looks for changes that other programs made.
    #[must_use]
    pub fn is_audit(self) -> bool {
        matches!(self, Self::Audit | Self::AuditSlice)
    }
}
