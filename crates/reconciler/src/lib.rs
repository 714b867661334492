//! Keeps a node's kernel as the cluster asks, without IO: events and the time go in, effects come out, and equal
//! inputs give equal outputs. `node::run` carries the effects out.
//!
//! ```text
//! Event ──▶ absorb ──▶ Agenda ──take──▶ SyncRun (read? → plan → apply, stage by stage) ──settle──▶ Agenda
//! ```
//!
//! The [agenda](agenda) is the only place that knows *when*: a task is taken from it, and success or failure puts it
//! back, failure always with back-off.

mod agenda;
pub mod backoff;
mod column;
mod drains;
mod entry;
mod messages;
mod ownership;
mod pending;
mod queries;
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
pub use self::messages::{Effect, Event, Lost, Report, Trigger};
pub use self::reconciler::Reconciler;
pub use self::rows::{Draining, EntryState, Row};
