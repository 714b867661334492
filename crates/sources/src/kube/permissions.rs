//! The permissions that the API server must give.

/// Verbs on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The API group; empty is the core group.
    pub group: &'static str,
    /// The resource's plural name.
    pub resource: &'static str,
    /// The verbs, in order of the alphabet.
    pub verbs: &'static [&'static str],
}

const fn read(group: &'static str, resource: &'static str) -> Permission {
    Permission {
        group,
        resource,
        verbs: &["list", "watch"],
    }
}

/// Every resource that is asked for, with the verbs, ordered by group and resource: what a ClusterRole
/// for this source holds. `endpoints` is for clusters without EndpointSlices; without `events` nothing
/// is lost but [`super::events`].
pub const PERMISSIONS: &[Permission] = &[
    read("", "endpoints"),
    read("", "nodes"),
    read("", "services"),
    read("discovery.k8s.io", "endpointslices"),
    Permission {
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
    },
];

#[cfg(test)]
mod tests;
