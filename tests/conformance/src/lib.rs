//! Scenarios: manifests in, tables, plans and packets out.
//!
//! - [`recording`], [`outcome`], [`steps`]: what a real kube-proxy programmed, and what we would;
//!   [`deviations`] lists every [`difference`].
//! - [`scenario`]: scenarios of our own, with what they expect written beside them.

pub mod deviations;
pub mod difference;
pub mod oracle;
pub mod outcome;
pub mod packets;
pub mod recording;
pub mod scenario;
pub mod section;
pub mod steps;
