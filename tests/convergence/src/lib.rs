//! Clusters, changes and faults at random, for the laws in `tests/`.
//!
//! Everything is drawn from a small world, so that clashes, duplicates and comings and goings are
//! frequent. Objects go beyond what an API server would admit.

pub mod cluster;
pub mod faults;
pub mod node;
pub mod simulation;
pub mod subject;
