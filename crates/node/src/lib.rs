//! The node's loop: what comes in from the cluster, what goes out to the kernel.
//!
//! The crate `reconciler` decides and does nothing; [`run`](mod@run) does and decides nothing; [`daemon`] is
//! what `kube-ipvsd` is made of.

pub mod changes;
pub mod daemon;
pub mod events;
pub mod health;
pub mod health_checks;
pub mod heap;
pub mod http;
mod latest;
pub mod logging;
pub mod mailbox;
pub mod metrics;
pub mod reload;
pub mod run;
pub mod second_proxy;
pub mod traffic;
pub mod udp_flows;
