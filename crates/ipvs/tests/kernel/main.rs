//! The running kernel, as this library meets it. These tests need root and a kernel with IPVS:
//! `cargo xtask vm` runs them.

mod batches;
mod daemons;
mod facts;
mod ipvsadm;
mod namespace;
mod reads;
mod settings;
mod validity;
