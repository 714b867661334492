//! Workloads of the parts that do no IO, and the tables that they use.
//!
//! [`workload::ALL`] is the one list: the benches time each of them, `src/bin/hot.rs` runs one of them under callgrind.

pub mod table;
pub mod workload;
