//! Conformance suites: from manifests to tables, plans and packets.
//!
//! - [`recording`], [`outcome`], [`steps`]: the tables of a real kube-proxy, compared with ours;
//! - [`deviations`]: the list of every allowed [`difference`];
//! - [`scenario`]: our own scenarios, with their expectations.

pub mod deviations;
pub mod difference;
pub mod outcome;
pub mod packets;
pub mod recording;
pub mod scenario;
pub mod section;
pub mod steps;
pub mod world;
