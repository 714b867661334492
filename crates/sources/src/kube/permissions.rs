//! Permissions that this source needs at the API server.

/// Verbs on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural name of the resource.
    pub resource: &'static str,
    /// Verbs in alphabetical order.
    pub verbs: &'static [&'static str],
}

const fn read(group: &'static str, resource: &'static str) -> Permission {
    Permission {
        group,
        resource,
        verbs: &["list", "watch"],
    }
}

/// Rules of a ClusterRole for this source, ordered by group and resource. `endpoints` is needed
/// only in clusters without EndpointSlices. Without `events` only [`super::events`] does not work.
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
