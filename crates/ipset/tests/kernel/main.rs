//! Tests with the running kernel. They need root and a kernel with ip_set; `cargo xtask vm` runs
//! them.

mod batches;
mod namespace;
mod program;
mod refusals;
mod replace;
