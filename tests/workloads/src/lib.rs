//! What is measured of the parts that do no IO, and on which tables.
//!
//! [`workload::ALL`] is the one list: the benches time each of them, `src/bin/hot.rs` runs one of them under callgrind.

pub mod table;
pub mod workload;
