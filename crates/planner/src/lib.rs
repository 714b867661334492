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
mod host_rules;
mod lower;
mod node_context;
mod protected;
mod resolve;
mod rules;
mod settings;
#[cfg(test)]
mod testing;

pub use compile::{Compiler, compile, lint};
pub use diff::{
    Ownership, Retire, captured, captured_scope, cleanup, diff, diff_keys, drains, is_marked,
    release,
};
pub use host_rules::{HarmfulRule, harmful_rules, harmful_rules_with_servers};
pub use settings::{IdleTimes, UnmetSetting, idle_timeouts, unmet_settings};
