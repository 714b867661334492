//! Services that no scenario knows.

/// Services of every kind with their EndpointSlices, in the namespace `background`. Their addresses and
/// ports are no scenario's.
pub(super) const OBJECTS: &str = include_str!("background.yaml");
