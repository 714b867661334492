//! Why a node that kube-proxy keeps is to be changed.

use std::fmt;

use ipset::SetName;
use ipvs::AddressFamily;
use model::sets::SetKind;
use model::{Op, PlannedOp, Reason};

/// Where a change comes from: one of our deviations from kube-proxy, or what kube-proxy would do itself.
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
    /// State that every node needs and this one lacks: no deviation.
    Node,
    /// State that the cluster asks for and this node has not, or has no longer to have: no deviation.
    Services,
}

impl Cause {
    /// The cause of a change. Other deviations (D3, D8, D11) change what is asked for: they are among the
    /// Services, and findings tell of them.
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
            | Op::CreateSet(..)
            | Op::DestroySet(_)
            | Op::EnsureDevice
            | Op::DelDevice => Self::Node,
            Op::SetRealServer(..) => of_weight(&planned.reason),
            _ => Self::Services,
        }
    }

    /// The number of the deviation; none where it is none.
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

    /// Returns its name, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Weights => "weights are enforced",
            Self::WeightBack => "an endpoint that comes back gets its weight back",
            Self::Draining => "what leaves drains, and draining ends",
            Self::LocalWithoutEndpoint => {
                "this node reaches Services of policy Local that have no endpoint on it"
            }
            Self::ConnReuseMode => "conn_reuse_mode is what this kernel wants",
            Self::LargerSets => "sets are as large as what they hold",
            Self::SameRules => {
                "rules are the same at all times, also while sets are empty; with those of D12, D24 and D25"
            }
            Self::Node => "what every node needs",
            Self::Services => "what the cluster asks for and the node has not",
        }
    }
}

/// `D12, this node reaches …`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.deviation() {
            Some(deviation) => write!(f, "deviation {deviation}, {}", self.words()),
            None => f.write_str(self.words()),
        }
    }
}

/// Returns true if it is the set that kube-proxy does not have.
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
