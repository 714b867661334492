//! Keeps a node's kernel as the cluster asks, without IO: events and the time go in, effects come out, and equal
//! inputs give equal outputs. `node::run` carries the effects out.

pub mod backoff;
mod reconciler;

pub use self::reconciler::{Cause, Drain, DrainKey, Effect, Event, Reconciler, Report};
