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
use model::{NodeConfig, Plan, Scope, Snapshot, chain};
use sources::proxy::{self, Running};

use super::cluster::Cluster;
use super::desired::Origin;
use super::node::{self, Fallback, Node, on_loopback};
use super::running::{self, State};
use super::{Input, daemon, live};
use crate::cli::{NodeArgs, Source};
use crate::doctor::facts::{Compared, DaemonFacts, FilterFacts, HealthFacts, NodeFacts, SETTINGS};
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
    let origin = Origin::find(source, args, proc);
    let (mut node, unread) = match origin.node() {
        Ok(node) => (node, None),
        Err(error @ Error::Running(_)) => (node::read(args, Fallback::Host)?, Some(chain(&error))),
        Err(error) => return Err(error),
    };
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
    let reading = reading(&origin, &mut node, unread, ours.is_some())?;
    let mut filter = filter(Sweeper::open(node.backend()))?;
    filter.unreadable = filter.unreadable.or(reading.unread_rules);
    Ok(NodeFacts {
        release: setting("kernel.osrelease").unwrap_or_default(),
        ipvs_version: crate::commands::version::of_ipvs(),
        unreachable: reading.live.as_ref().map(unreachable).unwrap_or_default(),
        live: reading.live,
        foreign_device: reading.foreign_device,
        desired: reading.desired,
        settings: of_names(),
        modules: modules(&node.config.node),
        bridges: bridges().map_err(Error::Observe)?,
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
    live: Option<Snapshot>,
    foreign_device: Option<String>,
    /// Reason why the rules cannot be read.
    unread_rules: Option<String>,
    desired: Result<Compared, String>,
}

/// Reads the cluster and the kernel. `unread` is the reason why the cluster cannot be read.
///
/// Under a working kube-ipvsd a difference may be a change that it has not applied yet. Such
/// differences are read twice, and only those that stay are kept.
fn reading(
    origin: &Origin<'_>,
    node: &mut Node,
    unread: Option<String>,
    is_kept: bool,
) -> Result<Reading, Error> {
    if let Some(why) = unread {
        let (live, foreign_device, unread_rules) = kernel(node)?;
        return Ok(Reading {
            live,
            foreign_device,
            unread_rules,
            desired: Err(why),
        });
    }
    let first = read_once(origin, node)?;
    let differs = (first.desired.as_ref()).is_ok_and(|compared| !compared.plan.is_empty());
    if !is_kept || !differs {
        return Ok(first);
    }
    std::thread::sleep(PAUSE);
    let mut second = read_once(origin, node)?;
    if let (Ok(before), Ok(now)) = (&first.desired, &mut second.desired) {
        keep_common(&mut now.plan, &before.plan);
    }
    Ok(second)
}

fn read_once(origin: &Origin<'_>, node: &mut Node) -> Result<Reading, Error> {
    let cluster = origin.cluster(node);
    // The kernel is read after the cluster, so that it has the changes that the cluster has.
    let (live, foreign_device, unread_rules) = kernel(node)?;
    let desired = match (cluster, &live) {
        (Err(error), _) => Err(chain(&error)),
        (Ok(cluster), _) if !cluster.whole => {
            Err("a part of the input could not be read: see the errors above".to_owned())
        }
        (Ok(_), None) => Err("without IPVS there are no tables to compare with".to_owned()),
        (Ok(cluster), Some(live)) => Ok(compare(cluster, node, live)),
    };
    Ok(Reading {
        live,
        foreign_device,
        unread_rules,
        desired,
    })
}

fn compare(cluster: Cluster, node: &Node, live: &Snapshot) -> Compared {
    let described = Node {
        config: node.config.clone(),
        state: Some(live.node.clone()),
    };
    let input = Input::compile(cluster, described);
    Compared::new(input.desired, live, &input.config, input.findings)
}

/// Removes the changes from `plan` that are not in `other`.
fn keep_common(plan: &mut Plan, other: &Plan) {
    let common: BTreeSet<String> = other.ops().map(|planned| planned.op.to_string()).collect();
    for stage in &mut plan.stages {
        stage
            .ops
            .retain(|planned| common.contains(&planned.op.to_string()));
    }
    plan.stages.retain(|stage| !stage.ops.is_empty());
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

/// Tables of the kernel, the kind of the device `kube-ipvs0` if it is not a dummy device, and the
/// reason why the rules cannot be read.
type Live = (Option<Snapshot>, Option<String>, Option<String>);

fn kernel(node: &Node) -> Result<Live, Error> {
    let mut kernel = match live::read_only_kernel() {
        Ok(kernel) => kernel,
        Err(Error::Open(OpenError::NoModule { .. })) => return Ok((None, None, None)),
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
    Ok((Some(live), foreign, unread_rules))
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
