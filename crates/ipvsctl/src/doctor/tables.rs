//! Checks of the device, virtual servers, sets and draining real servers.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipset::{Header, Set};
use ipvs::{RealServerKey, VirtualServerKey};
use model::{DEVICE, NodeConfig, ObjectName};

use super::facts::NodeFacts;
use super::process::{Scope, repair};
use super::{Diagnosis, count, some};
use crate::schema::{self, Drain};

/// Fill level in percent at which a set is reported.
const NEARLY_FULL: u64 = 90;

pub(super) fn device(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "device";
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let users_see = "connections of pods and from outside to Services get no answer: this node does not accept packets \
                     to their addresses";
    let diagnosis = match &facts.foreign_device {
        Some(kind) => Diagnosis::problem(
            check,
            format!("{DEVICE} is a device of kind {kind}, not a dummy device"),
            users_see,
            &format!(
                "find the program that created it, and give its device another name: kube-ipvsd then creates its own \
                 {DEVICE} within {} s",
                facts.config.sync_period.as_secs()
            ),
        ),
        None if !live.device => Diagnosis::problem(
            check,
            format!("device {DEVICE} does not exist"),
            users_see,
            &repair(facts, Scope::Audit),
        ),
        None => {
            let addresses = count_addresses(live.tables.addresses.len());
            let found = format!("{DEVICE} is a dummy device with {addresses}");
            return vec![Diagnosis::ok(check, found)];
        }
    };
    vec![diagnosis.about(at_addresses(facts, |_| true))]
}

/// Returns the Services with an address on the dummy device for which `is_meant` returns true.
fn at_addresses(facts: &NodeFacts, is_meant: impl Fn(IpAddr) -> bool) -> BTreeSet<ObjectName> {
    let Some(compared) = facts.compared() else {
        return BTreeSet::new();
    };
    let desired = &compared.input.desired;
    let owners = desired.owners.virtual_servers.iter();
    let meant = owners.filter(|(key, _)| {
        let at = address(key).filter(|at| desired.tables.addresses.contains(at));
        at.is_some_and(&is_meant)
    });
    meant.map(|(_, owner)| owner.service.clone()).collect()
}

/// Checks that the node accepts packets to the addresses of the device. The kernel adds a local route
/// with each address, and keeps it while the device is down (`fib_sync_down_dev`,
/// `net/ipv4/fib_semantics.c`, Linux 6.1). Another program may delete it.
pub(super) fn local(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "local-addresses";
    let lost = &facts.unreachable;
    let Some(live) = facts.live.as_ref().filter(|live| live.device) else {
        return Vec::new();
    };
    if lost.is_empty() {
        let addresses = count_addresses(live.tables.addresses.len());
        return vec![Diagnosis::ok(
            check,
            format!("this node accepts packets to {addresses} of {DEVICE}"),
        )];
    }
    let problem = Diagnosis::problem(
        check,
        format!(
            "{} of {DEVICE} without a local route",
            count_addresses(lost.len())
        ),
        "connections of pods and from outside to these addresses get no answer; those of the node itself work",
        &format!(
            "add the routes again: ip route add local ADDRESS dev {DEVICE} table local; find the program that deleted \
             them, such as one that flushes the table local"
        ),
    );
    let lines = lost.iter().map(ToString::to_string).collect();
    vec![
        problem
            .with(lines)
            .about(at_addresses(facts, |at| lost.contains(&at))),
    ]
}

/// Reports Service addresses that another device of the node has.
pub(super) fn elsewhere(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "addresses-elsewhere";
    let (Some(live), Some(compared)) = (&facts.live, facts.compared()) else {
        return Vec::new();
    };
    let wanted = &compared.input.desired.tables.addresses;
    let others = live.node.interfaces.iter().flat_map(|interface| {
        let addresses = interface.addresses.iter();
        addresses.map(|address| (address.ip(), &interface.name))
    });
    let found: Vec<(IpAddr, String)> = others
        .filter(|(address, _)| wanted.contains(address))
        .map(|(address, name)| (address, format!("{address} is on {name}")))
        .collect();
    if found.is_empty() {
        return vec![Diagnosis::ok(
            check,
            "no other device has an address of a Service",
        )];
    }
    let warning = Diagnosis::warning(
        check,
        format!(
            "{} of Services on other devices than {DEVICE}",
            count_addresses(found.len())
        ),
        "other hosts of that network may send packets for this address to this node, and the address does not move or \
         end with its Service",
        "find the program that added it (keepalived, a local DNS cache, an operator), and let it use an address that no \
         Service has",
    );
    let addresses: BTreeSet<IpAddr> = found.iter().map(|(address, _)| *address).collect();
    let lines = found.into_iter().map(|(_, line)| line).collect();
    vec![
        warning
            .with(lines)
            .about(at_addresses(facts, |at| addresses.contains(&at))),
    ]
}

/// Checks that each address has a virtual server, and each virtual server of ours its address. For
/// a node whose desired tables are unknown.
pub(super) fn addresses(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "addresses";
    let Some(live) = facts.live.as_ref().filter(|live| live.device) else {
        return Vec::new();
    };
    if facts.desired.is_ok() {
        return Vec::new();
    }
    let tables = &live.tables;
    let is_idle = |address: &&IpAddr| {
        tables.virtual_servers_at(**address).next().is_none() && !excludes(&facts.config, **address)
    };
    let idle = tables.addresses.iter().filter(is_idle);
    let idle: Vec<String> = idle.map(ToString::to_string).collect();
    let is_here = |address: IpAddr| {
        tables.addresses.contains(&address) || live.node.addresses().any(|here| here == address)
    };
    let is_astray = |key: &&VirtualServerKey| {
        planner::is_marked(live, **key) && address(key).is_some_and(|at| !is_here(at))
    };
    let astray = tables.virtual_servers.keys().filter(is_astray);
    let astray: Vec<String> = astray.map(ToString::to_string).collect();
    let action = format!("{}; see ipvsctl diff", repair(facts, Scope::Audit));
    let mut found = Vec::new();
    if !idle.is_empty() {
        let text = format!(
            "{} of {DEVICE} without a virtual server",
            count_addresses(idle.len())
        );
        let users_see = "connections to Services at these addresses are refused or reach programs of this node; an address \
                         of a deleted Service does no harm";
        found.push(Diagnosis::problem(check, text, users_see, &action).with(idle));
    }
    if !astray.is_empty() {
        let text = format!(
            "{} at addresses that no device has",
            count(astray.len(), "virtual server")
        );
        let users_see = "connections of pods and from outside to them get no answer: this node does not accept the packets";
        found.push(Diagnosis::problem(check, text, users_see, &action).with(astray));
    }
    if found.is_empty() {
        let servers = count(tables.virtual_servers.len(), "virtual server");
        found.push(Diagnosis::ok(
            check,
            format!("{servers}; ours have their addresses"),
        ));
    }
    found
}

/// Counts virtual servers of other programs.
pub(super) fn others(facts: &NodeFacts) -> Vec<Diagnosis> {
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let others =
        (live.tables.virtual_servers.keys()).filter(|key| !planner::is_marked(live, **key));
    let others: Vec<VirtualServerKey> = others.copied().collect();
    let is_excluded = |key: &&VirtualServerKey| {
        address(key).is_some_and(|address| excludes(&facts.config, address))
    };
    let excluded = others.iter().filter(is_excluded).count();
    let found = match others.len() {
        0 => "no virtual servers of other programs".to_owned(),
        number => {
            let names: Vec<String> = others.iter().map(ToString::to_string).collect();
            format!(
                "{} of other programs, not changed by kube-ipvsd, {excluded} of them in ipvs.excludeCIDRs: {}",
                count(number, "virtual server"),
                some(&names)
            )
        }
    };
    vec![Diagnosis::ok("other-virtual-servers", found)]
}

/// Checks that draining real servers will be deleted.
pub(super) fn drains(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "drains";
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let reported = facts.daemon.drains.as_deref().unwrap_or_default();
    let endpoints = endpoints(facts);
    let mut drains = schema::drains(reported, Some(live));
    // The check of the real servers reports an endpoint of weight 0.
    drains.retain(|drain| {
        let key = (drain.virtual_server.clone(), drain.real_server.clone());
        !endpoints.contains(&key)
    });
    if drains.is_empty() {
        return vec![Diagnosis::ok(check, "no real server drains")];
    }
    let is_kept = facts.daemon.drains.is_some();
    let forgotten = |drain: &&Drain| !is_kept || !drain.known_to_daemon;
    let endless =
        |drain: &&Drain| !forgotten(drain) && drain.deadline.is_none() && connections(drain) > 0;
    let of = |wanted: &dyn Fn(&&Drain) -> bool| drains.iter().filter(wanted).collect::<Vec<_>>();
    let (forgotten, endless) = (of(&forgotten), of(&endless));
    let diagnosis = if !forgotten.is_empty() && is_kept {
        // An audit finds them, and begins their drains.
        let found = format!(
            "{}, not among the drains of kube-ipvsd yet",
            describe(&forgotten)
        );
        Diagnosis::ok(check, found).with(each(&forgotten))
    } else if !forgotten.is_empty() {
        Diagnosis::warning(
            check,
            format!(
                "{}, and no kube-ipvsd ends their drains",
                describe(&forgotten)
            ),
            "open connections continue, and new ones go to other endpoints",
            &format!(
                "{}; it lets the open connections end, then deletes the real servers",
                repair(facts, Scope::Slices)
            ),
        )
        .with(each(&forgotten))
    } else if !endless.is_empty() {
        Diagnosis::warning(
            check,
            format!("{}, without a deadline", describe(&endless)),
            "nothing: the real server stays as long as clients keep their connections open",
            "set drainTimeout above 0 if drains must end",
        )
        .with(each(&endless))
    } else {
        let all: Vec<&Drain> = drains.iter().collect();
        Diagnosis::ok(check, describe(&all)).with(each(&all))
    };
    vec![diagnosis]
}

/// Returns the endpoints with weight 0 in the kernel: virtual server and real server as text.
fn endpoints(facts: &NodeFacts) -> BTreeSet<(String, String)> {
    let (Some(live), Some(compared)) = (&facts.live, facts.compared()) else {
        return BTreeSet::new();
    };
    let idle = live.tables.virtual_servers.iter().flat_map(|(key, entry)| {
        let reals = entry.real_servers.values().filter(|real| real.weight == 0);
        reals.map(move |real| (key, real.key))
    });
    let is_endpoint = |(key, real): &(&VirtualServerKey, RealServerKey)| {
        let desired = compared.input.desired.tables.virtual_servers.get(key);
        desired.is_some_and(|desired| desired.real_servers.contains_key(real))
    };
    let endpoints = idle.filter(is_endpoint);
    endpoints
        .map(|(key, real)| (key.to_string(), real.to_string()))
        .collect()
}

fn connections(drain: &Drain) -> u32 {
    let active = drain.active_connections.unwrap_or(0);
    active.saturating_add(drain.inactive_connections.unwrap_or(0))
}

fn describe(drains: &[&Drain]) -> String {
    format!("{} of weight 0", count(drains.len(), "real server"))
}

/// Returns a line for each drain.
fn each(drains: &[&Drain]) -> Vec<String> {
    let line = |drain: &&Drain| {
        let Drain {
            virtual_server,
            real_server,
            active_connections,
            inactive_connections,
            ..
        } = drain;
        let (active, inactive) = (
            active_connections.unwrap_or(0),
            inactive_connections.unwrap_or(0),
        );
        format!(
            "{real_server} of {virtual_server}: {active} active, {inactive} inactive connections"
        )
    };
    drains.iter().map(line).collect()
}

/// Checks the fill levels of the sets.
pub(super) fn sets(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "sets";
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let sets = &live.tables.sets;
    let filled = sets
        .iter()
        .filter_map(|(name, set)| Some((name, set.entries.len(), room(set)?)));
    let nearly = |entries: usize, room: u32| {
        (entries as u64).saturating_mul(100) >= u64::from(room).saturating_mul(NEARLY_FULL)
    };
    let filled: Vec<_> = filled
        .filter(|(_, entries, room)| nearly(*entries, *room))
        .collect();
    let texts = filled
        .iter()
        .map(|(name, entries, room)| format!("{name} has {entries} of {room} entries"));
    let found = some(&texts.collect::<Vec<_>>());
    let is_full = (filled.iter()).any(|(_, entries, room)| *entries as u64 >= u64::from(*room));
    let users_see = "once a set is full, new Services are refused or not masqueraded, since their entries are rejected";
    let action = "start kube-ipvsd, which replaces a set by a larger one (deviation D16)";
    let diagnosis = match (filled.is_empty(), facts.is_kept(), is_full) {
        (true, ..) => Diagnosis::ok(
            check,
            format!("{}, none nearly full", count(sets.len(), "set")),
        ),
        (false, true, _) => Diagnosis::ok(
            check,
            format!("{found}; kube-ipvsd enlarges sets as needed"),
        ),
        (false, false, true) => Diagnosis::problem(check, found, users_see, action),
        (false, false, false) => Diagnosis::warning(check, found, users_see, action),
    };
    vec![diagnosis]
}

/// Returns the maximum number of entries of the set; `None` if it has room for every possible
/// entry.
fn room(set: &Set) -> Option<u32> {
    match set.header {
        Header::Hash { max_elements, .. } => Some(max_elements),
        Header::BitmapPort { .. } | Header::Unsupported => None,
    }
}

fn excludes(config: &NodeConfig, address: IpAddr) -> bool {
    (config.exclude_cidrs.iter()).any(|network| network.contains(address))
}

fn address(key: &VirtualServerKey) -> Option<IpAddr> {
    match key {
        VirtualServerKey::Address { address, .. } => Some(*address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}

fn count_addresses(number: usize) -> String {
    match number {
        1 => "1 address".to_owned(),
        _ => format!("{number} addresses"),
    }
}
