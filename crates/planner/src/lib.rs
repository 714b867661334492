//! The decisions of kube-ipvs, as functions from values to values.
//!
//! ```text
//! ClusterState ──resolve──▶ Frontends ──lower──▶ claims ──ledger──▶ Desired ──diff──▶ Plan
//!                (Kubernetes)           (IPVS)          (who wins)            (live)
//! ```
//!
//! Nothing here does IO, reads a clock or fails because of the world.

mod compile;
mod diff;
mod ledger;
mod lower;
mod resolve;
mod rules;
mod settings;
#[cfg(test)]
mod testing;
mod view;

pub use compile::{Compiler, compile, lint};
pub use diff::{Ownership, cleanup, diff, diff_keys, is_marked, leaving};
pub use settings::{IdleTimes, UnmetSetting, idle_timeouts, unmet_settings};
