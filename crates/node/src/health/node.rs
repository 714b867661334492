//! Eligibility of the node.

/// Fields of a Node that decide whether load balancers should use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// True if the Node has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// True if the Node has the taint with which the cluster autoscaler marks nodes that it will
    /// delete (`ToBeDeletedByClusterAutoscaler`).
    pub leaving: bool,
}

impl NodeHealth {
    /// Returns true if the node is not about to be deleted.
    #[must_use]
    pub fn is_eligible(self) -> bool {
        let Self { deleting, leaving } = self;
        !deleting && !leaving
    }
}
