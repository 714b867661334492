//! Eligibility of the node.

/// Fields of a Node that decide whether load balancers should use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// It has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// It has the taint by which the cluster autoscaler marks a node that it will delete
    /// (`ToBeDeletedByClusterAutoscaler`).
    pub leaving: bool,
}

impl NodeHealth {
    /// Returns true if the node is here to stay.
    #[must_use]
    pub fn is_eligible(self) -> bool {
        let Self { deleting, leaving } = self;
        !deleting && !leaving
    }
}
