//! The running kernel, as this library meets it. These tests need root and a kernel with ip_set:
//! `cargo xtask vm` runs them.

mod batches;
mod namespace;
mod program;
mod refusals;
mod replace;
