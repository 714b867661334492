//! Causes of the changes on a node of kube-proxy.

use std::fmt;

use ipset::SetName;
use ipvs::AddressFamily;
use model::sets::SetKind;
use model::{Op, PlannedOp, Reason};

/// Cause of a change: a deviation from kube-proxy, or a change that kube-proxy would make itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Deviation D4.
    Weights,
    /// Deviation D5.
    WeightBack,
    /// Deviation D6.
    Draining,
    /// Deviation D12.
    LocalWithoutEndpoint,
    /// Deviation D15.
    ConnReuseMode,
    /// Deviation D16.
    LargerSets,
    /// Deviation D20, and the rules of D12, D24 and D25.
    SameRules,
    /// State that every node needs; no deviation.
    Node,
    /// Differences between the Services and the node; no deviation.
    Services,
}

impl Cause {
    /// Returns the cause of a change. Other deviations (D3, D8, D11) change the desired tables:
    /// they count as [`Self::Services`], and findings report them.
    #[must_use]
    pub fn of(planned: &PlannedOp) -> Self {
        match &planned.op {
            Op::PatchRules(..) => Self::SameRules,
            Op::CreateSet(name, _)
            | Op::ReplaceSet(name, _)
            | Op::DestroySet(name)
            | Op::AddEntry(name, _)
            | Op::DelEntry(name, _)
                if is_added(name) =>
            {
                Self::LocalWithoutEndpoint
            }
            Op::ReplaceSet(..) => Self::LargerSets,
            Op::SetSysctl(name, _) if &**name == "net.ipv4.vs.conn_reuse_mode" => {
                Self::ConnReuseMode
            }
            Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::StopSyncDaemon(_)
            | Op::StartSyncDaemon(_)
            | Op::CreateSet(..)
            | Op::DestroySet(_)
            | Op::EnsureDevice
            | Op::DelDevice => Self::Node,
            Op::SetRealServer(..) => of_weight(&planned.reason),
            _ => Self::Services,
        }
    }

    /// Returns the number of the deviation, if the cause is one.
    #[must_use]
    pub fn deviation(self) -> Option<&'static str> {
        match self {
            Self::Weights => Some("D4"),
            Self::WeightBack => Some("D5"),
            Self::Draining => Some("D6"),
            Self::LocalWithoutEndpoint => Some("D12"),
            Self::ConnReuseMode => Some("D15"),
            Self::LargerSets => Some("D16"),
            Self::SameRules => Some("D20"),
            Self::Node | Self::Services => None,
        }
    }

    /// Returns a description of the cause.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Weights => "weights are enforced",
            Self::WeightBack => "an endpoint that returns gets its weight back",
            Self::Draining => "removed real servers drain, for a limited time",
            Self::LocalWithoutEndpoint => {
                "this node reaches Services of policy Local that have no endpoint on it"
            }
            Self::ConnReuseMode => "conn_reuse_mode is set as this kernel needs it",
            Self::LargerSets => "sets are large enough for their entries",
            Self::SameRules => {
                "rules are the same at all times, even if sets are empty; with the rules of D12, D24 and D25"
            }
            Self::Node => "state that every node needs",
            Self::Services => "differences between the Services and the node",
        }
    }
}

/// Prints `deviation D12, this node reaches …`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.deviation() {
            Some(deviation) => write!(f, "deviation {deviation}, {}", self.words()),
            None => f.write_str(self.words()),
        }
    }
}

/// Returns true if kube-proxy does not have this set.
fn is_added(name: &SetName) -> bool {
    AddressFamily::ALL
        .iter()
        .any(|family| SetKind::NoLocalEndpoint.name(*family) == *name)
}

fn of_weight(reason: &Reason) -> Cause {
    let Reason::Differs(differences) = reason else {
        return Cause::Draining;
    };
    let weight = (differences.iter()).find(|difference| difference.field == "weight");
    match weight.map(|weight| &*weight.live) {
        Some("0") => Cause::WeightBack,
        Some(_) => Cause::Weights,
        None => Cause::Services,
    }
}
