//! Eligibility of the node.

/// Fields of a Node that decide whether load balancers should use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// It has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// It has a taint with the key [`LEAVING_TAINT`].
    pub leaving: bool,
}

/// The taint by which the cluster autoscaler marks a node that it will delete.
pub const LEAVING_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

impl NodeHealth {
    /// Returns true if the node is here to stay.
    #[must_use]
    pub fn is_eligible(self) -> bool {
        let Self { deleting, leaving } = self;
        !deleting && !leaving
    }
}
