//! Collects the facts for the doctor. Changes nothing and loads no module.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kernel::linux::leftovers::Sweeper;
use kernel::linux::{Presence, bridges, holders_of_our_chains, presence, setting};
use kernel::{Kernel, ObserveError, OpenError};
use model::{NodeConfig, Scope, Snapshot, chain};
use sources::proxy::{self, Running};

use super::daemon;
use super::live;
use super::node::{Node, on_loopback};
use crate::doctor::facts::{DaemonFacts, FilterFacts, HealthFacts, NodeFacts, SETTINGS};
use crate::error::Error;

/// Modules of rules and sets. Those of schedulers are added to them.
const MODULES: [&str; 11] = [
    "dummy",
    "ip_set",
    "ip_set_bitmap_port",
    "ip_set_hash_ip",
    "ip_set_hash_ipport",
    "ip_set_hash_ipportip",
    "ip_set_hash_ipportnet",
    "nf_conntrack",
    "xt_comment",
    "xt_mark",
    "xt_set",
];

/// Collects the facts of this node. The metrics address of its proxy is `metrics`, else the one of
/// the configuration.
///
/// # Errors
///
/// The kernel cannot be read, or its answer cannot be decoded.
pub fn observe(node: Node, metrics: Option<SocketAddr>) -> Result<NodeFacts, Error> {
    let settings = &node.config.settings;
    let configured = metrics.or(settings.metrics_bind_address);
    let (live, foreign_device) = kernel(&node)?;
    let proxies = proxies(configured);
    let ours = (proxies.iter()).find(|(_, running)| *running == Running::KubeIpvs);
    let filter = filter(Sweeper::open(node.backend()))?;
    Ok(NodeFacts {
        release: setting("kernel.osrelease").unwrap_or_default(),
        ipvs_version: crate::commands::version::of_ipvs(),
        live,
        foreign_device,
        settings: of_names(),
        modules: modules(&node.config.node),
        bridges: bridges().map_err(Error::Observe)?,
        filter,
        daemon: DaemonFacts {
            metrics: configured.map(on_loopback),
            status: ours.and_then(|(address, _)| daemon::status(*address).ok()),
            drains: ours.and_then(|(address, _)| daemon::drains(*address).ok()),
            health: settings.healthz_bind_address.map(health),
        },
        proxies,
        config: node.config.node,
    })
}

/// Tables of the kernel, and the kind of the device `kube-ipvs0` if it is not a dummy device.
type Live = (Option<Snapshot>, Option<String>);

fn kernel(node: &Node) -> Result<Live, Error> {
    let mut kernel = match live::read_only_kernel() {
        Ok(kernel) => kernel,
        Err(Error::Open(OpenError::NoModule { .. })) => return Ok((None, None)),
        Err(error) => return Err(error),
    };
    let rest = Scope {
        addresses: false,
        rules: false,
        ..Scope::EVERYTHING
    };
    let mut live = kernel.observe(&rest).map_err(Error::Observe)?;
    let addresses = Scope {
        addresses: true,
        ..Scope::NOTHING
    };
    let foreign = match kernel.observe(&addresses) {
        Ok(read) => {
            live.update(&addresses, read);
            None
        }
        Err(ObserveError::NotDummy { kind }) => Some(kind),
        Err(error) => return Err(Error::Observe(error)),
    };
    // The check `packet-filter` reports why they cannot be read.
    let rules = Scope {
        rules: true,
        ..Scope::NOTHING
    };
    if let Ok(read) = kernel.observe(&rules) {
        live.update(&rules, read);
    }
    if let Some(described) = &node.state {
        live.node.clone_from(described);
    }
    Ok((Some(live), foreign))
}

fn of_names() -> BTreeMap<&'static str, String> {
    let values = SETTINGS.into_iter();
    values
        .filter_map(|name| Some((name, setting(name)?)))
        .collect()
}

fn modules(config: &NodeConfig) -> BTreeMap<String, Presence> {
    let scheduler = format!("ip_vs_{}", config.scheduler.0);
    let names = MODULES.into_iter().map(ToOwned::to_owned);
    names
        .chain([scheduler])
        .map(|name| (name.clone(), presence(&name)))
        .collect()
}

fn filter(mut sweeper: Sweeper) -> Result<FilterFacts, Error> {
    let (leftovers, unreadable) = match sweeper.find() {
        Ok(leftovers) => (Some(leftovers), None),
        Err(error @ ObserveError::NotPermitted { .. }) => return Err(Error::Observe(error)),
        Err(error) => (None, Some(chain(&error).to_string())),
    };
    Ok(FilterFacts {
        unreadable,
        used: (sweeper.iptables()).map(|choice| (choice.variant, choice.to_string())),
        holders: holders_of_our_chains(),
        leftovers,
    })
}

/// Returns the service proxies of this node that answer at the metrics address `configured` or at
/// the default one.
#[must_use]
pub fn proxies(configured: Option<SocketAddr>) -> Vec<(SocketAddr, Running)> {
    let addresses = metrics_addresses(configured).into_iter();
    addresses
        .filter_map(|address| Some((address, proxy::running(address)?)))
        .collect()
}

/// Returns the addresses where a proxy may serve metrics: the configured one, and the default of
/// kube-proxy and kube-ipvsd. No listener is in the list twice.
fn metrics_addresses(configured: Option<SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = configured.map(on_loopback).into_iter().collect();
    // A listener at every address of both families answers at the loopback address of the other one
    // too.
    let is_everywhere = |address: SocketAddr| {
        address.ip().is_unspecified() && address.port() == proxy::METRICS.port()
    };
    if !configured.is_some_and(is_everywhere) && !addresses.contains(&proxy::METRICS) {
        addresses.push(proxy::METRICS);
    }
    addresses
}

fn health(configured: SocketAddr) -> HealthFacts {
    let address = on_loopback(configured);
    let ask = |path| {
        let answer = proxy::get(address, path).map(drop);
        answer.map_err(|error| error.to_string())
    };
    HealthFacts {
        address,
        healthz: ask("/healthz"),
        livez: ask("/livez"),
    }
}
