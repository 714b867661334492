//! Workloads of the parts that do no IO, and their tables.
//!
//! [`workload::ALL`] is the only list: the benches time each workload, `src/bin/hot.rs` runs one of
//! them under callgrind.

pub mod table;
pub mod workload;
