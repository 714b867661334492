//! Reconciles the kernel tables of one node with the state of the cluster, without IO.
//!
//! [`Reconciler::handle`] receives an [`Event`] and the current time, and returns [`Effect`]s.
//! Equal inputs give equal outputs. `node::run` executes the effects.
//!
//! ```text
//! Event ──▶ absorb ──▶ Agenda ──take──▶ SyncRun (read? → plan → apply) ──settle──▶ Agenda
//! ```
//!
//! The agenda alone decides when a [`Task`] runs. A task is taken from the agenda, runs as a sync,
//! and is then removed or scheduled again. A failed task is always scheduled with a back-off.

mod agenda;
mod column;
mod drains;
mod entry;
mod messages;
mod ownership;
mod pending;
mod queries;
mod ramps;
mod reconciler;
mod rows;
mod slices;
mod sync_run;
#[cfg(test)]
mod tests;

pub use self::agenda::{Due, Failure, Task};
pub use self::column::Column;
pub use self::drains::{Drain, DrainKey};
pub use self::entry::EntryKey;
pub use self::messages::{Effect, Event, LostEntries, Report, Trigger};
pub use self::ramps::Ramp;
pub use self::reconciler::Reconciler;
pub use self::rows::{Draining, EntryState, Row};
