//! Collects the facts for the doctor. Changes nothing and loads no module.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use kernel::linux::leftovers::Sweeper;
use kernel::linux::{Presence, bridges, holders_of_our_chains, presence, setting};
use kernel::{Kernel, ObserveError, OpenError};
use model::{DEVICE, NodeConfig, Scope, Snapshot, chain};
use sources::proxy::{self, Running};

use super::cluster::Cluster;
use super::desired::Origin;
use super::node::{Node, on_loopback};
use super::running::{self, State};
use super::{Input, daemon, live};
use crate::cli::{NodeArgs, Source};
use crate::doctor::facts::{
    Compared, DaemonFacts, FilterFacts, HealthFacts, NodeFacts, SETTINGS, SourceCheck,
};
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

/// Directory with the IPv4 settings of each interface.
const CONF: &str = "/proc/sys/net/ipv4/conf";

/// Pause before the second reading of a node whose tables differ.
const PAUSE: Duration = Duration::from_secs(2);

/// Collects the facts of this node. The metrics address of its proxy is `metrics`, else the one of
/// the configuration.
///
/// # Errors
///
/// The kernel cannot be read, its answer cannot be decoded, or a file of the command line has
/// mistakes.
pub fn observe(
    source: &Source,
    args: &NodeArgs,
    metrics: Option<SocketAddr>,
) -> Result<NodeFacts, Error> {
    let proc = Path::new(running::PROC);
    let processes = running::find(proc);
    let origin = Origin::among(source, args, || processes.daemons.clone());
    let (mut node, unread) = origin.node_or_named()?;
    let settings = node.config.settings.clone();
    let configured = metrics.or(settings.metrics_bind_address);
    let daemons: Vec<_> = processes
        .daemons
        .into_iter()
        .map(|daemon| daemon.process)
        .collect();
    // A stopped process accepts connections and never answers.
    let is_stopped = daemons.iter().any(|daemon| daemon.state == State::Stopped);
    let proxies = if is_stopped {
        Vec::new()
    } else {
        proxies(configured)
    };
    let ours = (proxies.iter()).find(|(_, running)| *running == Running::KubeIpvs);
    let works = ours.is_some() || !daemons.is_empty() && !is_stopped;
    let reading = match unread {
        Some(why) => Reading {
            live: kernel(&node)?,
            desired: Err(why),
        },
        None => reading(
            &mut node,
            kernel,
            |node| {
                let cluster = origin.cluster(node)?;
                if ours.is_some() {
                    node.ask_endpoint_states(&cluster.state, metrics);
                }
                Ok(cluster)
            },
            works.then_some(PAUSE),
        )?,
    };
    let Reading { live, desired } = reading;
    let mut filter = filter(Sweeper::open(node.backend()))?;
    filter.unreadable = filter.unreadable.or(live.unread_rules);
    Ok(NodeFacts {
        release: setting("kernel.osrelease").unwrap_or_default(),
        ipvs_version: crate::commands::version::of_ipvs(),
        unreachable: live.tables.as_ref().map(unreachable).unwrap_or_default(),
        live: live.tables,
        foreign_device: live.foreign_device,
        desired,
        settings: of_names(),
        modules: modules(&node.config.node),
        bridges: bridges().map_err(Error::Observe)?,
        source_checks: source_checks(Path::new(CONF)),
        filter,
        daemon: DaemonFacts {
            metrics: configured.map(on_loopback),
            status: ours.and_then(|(address, _)| daemon::status(*address).ok()),
            drains: ours.and_then(|(address, _)| daemon::drains(*address).ok()),
            health: settings
                .healthz_bind_address
                .filter(|_| !is_stopped)
                .map(health),
        },
        proxies,
        daemons,
        kube_proxies: processes.kube_proxies,
        config: node.config.node,
    })
}

/// Live tables, and the desired ones compared with them.
struct Reading {
    live: Live,
    desired: Result<Compared, String>,
}

/// Reads the kernel and the cluster.
///
/// Under a working kube-ipvsd a difference may be a change that it has not applied yet, or one that
/// it applied before the cluster was read. So the kernel is read before the cluster and, if the
/// tables differ, again after it and a `pause`. Only the differences of both readings are kept. With
/// no `pause` the first reading decides.
fn reading(
    node: &mut Node,
    mut kernel: impl FnMut(&Node) -> Result<Live, Error>,
    cluster: impl FnOnce(&mut Node) -> Result<Cluster, Error>,
    pause: Option<Duration>,
) -> Result<Reading, Error> {
    let mut live = kernel(node)?;
    let desired = match (cluster(node), &live.tables) {
        (Err(error), _) => Err(chain(&error)),
        (Ok(cluster), _) if !cluster.whole => {
            Err("a part of the input could not be read: see the errors above".to_owned())
        }
        (Ok(_), None) => Err("without IPVS there are no tables to compare with".to_owned()),
        (Ok(cluster), Some(tables)) => Ok(compare(cluster, node, tables)),
    };
    let (desired, pause) = match (desired, pause) {
        (Ok(compared), Some(pause)) if !compared.plan.is_empty() => (compared, pause),
        (desired, _) => return Ok(Reading { live, desired }),
    };
    std::thread::sleep(pause);
    live = kernel(node)?;
    let desired = match &live.tables {
        Some(tables) => Ok(desired.confirmed(tables)),
        None => Err("IPVS was unloaded during the reading".to_owned()),
    };
    Ok(Reading { live, desired })
}

fn compare(cluster: Cluster, node: &Node, live: &Snapshot) -> Compared {
    let described = Node {
        config: node.config.clone(),
        state: Some(live.node.clone()),
        endpoints: node.endpoints.clone(),
    };
    Compared::new(Input::compile(cluster, described), live)
}

/// Returns the addresses of the dummy device without a local route: no socket can be bound to them.
#[must_use]
pub fn unreachable(live: &Snapshot) -> BTreeSet<IpAddr> {
    let is_lost = |address: &&IpAddr| {
        let bound = UdpSocket::bind((**address, 0));
        bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
    };
    live.tables
        .addresses
        .iter()
        .filter(is_lost)
        .copied()
        .collect()
}

/// State of the kernel.
#[derive(Default)]
struct Live {
    /// Tables; `None` if the kernel has no IPVS.
    tables: Option<Snapshot>,
    /// Kind of the device `kube-ipvs0` if it is not a dummy device.
    foreign_device: Option<String>,
    /// Reason why the rules cannot be read.
    unread_rules: Option<String>,
}

fn kernel(node: &Node) -> Result<Live, Error> {
    let mut kernel = match live::read_only_kernel() {
        Ok(kernel) => kernel,
        Err(Error::Open(OpenError::NoModule { .. })) => return Ok(Live::default()),
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
    let foreign_device = match kernel.observe(&addresses) {
        Ok(read) => {
            live.update(&addresses, read);
            None
        }
        Err(ObserveError::NotDummy { kind }) => Some(kind),
        Err(error) => return Err(Error::Observe(error)),
    };
    let rules = Scope {
        rules: true,
        ..Scope::NOTHING
    };
    let unread_rules = match kernel.observe(&rules) {
        Ok(read) => {
            live.update(&rules, read);
            None
        }
        Err(error) => Some(chain(&error).to_string()),
    };
    if let Some(described) = &node.state {
        live.node.clone_from(described);
    }
    Ok(Live {
        tables: Some(live),
        foreign_device,
        unread_rules,
    })
}

fn of_names() -> BTreeMap<&'static str, String> {
    let values = SETTINGS.into_iter();
    values
        .filter_map(|name| Some((name, setting(name)?)))
        .collect()
}

/// Reads how each interface checks the sources of IPv4 packets from the directory `conf`. Names of
/// interfaces may contain dots, so that these settings have no dotted names.
#[must_use]
pub fn source_checks(conf: &Path) -> BTreeMap<String, SourceCheck> {
    let value = |interface: &str, name: &str| -> Option<u8> {
        let text = std::fs::read_to_string(conf.join(interface).join(name)).ok()?;
        text.trim().parse().ok()
    };
    let names = std::fs::read_dir(conf).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| !["all", "default", "lo", DEVICE].contains(&&**name))
        .filter_map(|name| {
            let of_both = |setting| Some([value("all", setting)?, value(&name, setting)?]);
            let [accept, accept_here] = of_both("accept_local")?;
            let [filter, filter_here] = of_both("rp_filter")?;
            let check = SourceCheck {
                accept_local: accept != 0 || accept_here != 0,
                rp_filter: filter.max(filter_here),
            };
            Some((name, check))
        })
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
