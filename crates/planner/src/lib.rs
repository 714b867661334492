//! Computes the desired tables and the plan as pure functions.
//!
//! ```text
//! ClusterState ──resolve──▶ Frontends ──lower──▶ claims ──claim_index──▶ Desired ──diff──▶ Plan
//!                (Kubernetes)           (IPVS)             (winners)               (live)
//! ```
//!
//! This crate does no IO, reads no clock, and accepts any input without an error.

mod claim_index;
mod compile;
mod diff;
mod explain;
mod host_rules;
mod lower;
mod node_context;
mod owners;
mod protected;
mod resolve;
mod rules;
mod settings;
mod static_server;
#[cfg(test)]
mod testing;

pub use claim_index::Arrivals;
pub use compile::{Compiler, EndpointStates, compile, compile_with_claims, lint};
pub use diff::{
    HandOver, Ownership, Retire, between, captured, captured_scope, cleanup, diff, diff_keys,
    drains, entry_now, is_adopted, is_marked, release, sync_daemon_runs,
};
pub use explain::{
    EndpointExplanation, EndpointVerdict, PortExplanation, RefusedAddress, ServedSite,
    ServiceExplanation, SiteExplanation, SiteOutcome,
};
pub use host_rules::{HarmfulRule, harmful_rules, harmful_rules_with_servers};
pub use owners::{Claims, EntryOwner, EntryOwners};
pub use settings::{IdleTimes, UnmetSetting, idle_timeouts, unmet_settings};
