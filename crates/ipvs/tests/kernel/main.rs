//! Tests with the running kernel. They need root and a kernel with IPVS; `cargo xtask vm` runs
//! them.

mod batches;
mod daemons;
mod facts;
mod ipvsadm;
mod namespace;
mod reads;
mod settings;
mod validity;
