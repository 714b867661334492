//! Services that are unrelated to every scenario.

/// Services of every kind with their EndpointSlices, in the namespace `background`. No scenario
/// uses their addresses and ports.
pub(super) const OBJECTS: &str = include_str!("background.yaml");
