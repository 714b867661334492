//! The node daemon: events of the cluster go in, writes to the kernel come out.
//!
//! The crate `reconciler` makes every decision and does no IO. [`run`](mod@run) carries the
//! decisions out. [`daemon`] assembles `kube-ipvsd`.

pub mod change_log;
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
pub mod probes;
pub mod reload;
pub mod run;
pub mod second_proxy;
pub mod traffic;
pub mod udp_flows;

/// Version of the program: that of the crate, or the one that the build sets, which also names the
/// commit, such as `0.1.0+61d79ca`.
pub const VERSION: &str = match option_env!("KUBE_IPVS_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
