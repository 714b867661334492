//! Random clusters, changes and faults, for the laws in `tests/`.
//!
//! All values are chosen from a small set, so that clashes, duplicates, additions and deletions are
//! frequent. Objects include some that an API server would refuse.

pub mod cluster;
pub mod faults;
pub mod node;
pub mod policy;
pub mod simulation;
pub mod subject;
