//! Checks of the device, virtual servers, sets and draining real servers.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipset::{Header, Set};
use ipvs::VirtualServerKey;
use model::{DEVICE, NodeConfig};

use super::facts::NodeFacts;
use super::{Diagnosis, count, some};
use crate::schema::{self, Drain};

/// Fill level in percent at which a set is reported.
const NEARLY_FULL: u64 = 90;

pub(super) fn device(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "device";
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let why = "Services are served at the addresses of this device; without it they are not served";
    let diagnosis = match &facts.foreign_device {
        Some(kind) => Diagnosis::problem(
            check,
            format!("{DEVICE} is a device of kind {kind}, not a dummy device"),
            why,
            &format!("rename or delete it (ip link delete {DEVICE}); kube-ipvsd creates its own"),
        ),
        None if !live.device => Diagnosis::problem(
            check,
            format!("device {DEVICE} does not exist"),
            why,
            "start kube-ipvsd, which creates it (module dummy)",
        ),
        None => {
            let addresses = match live.tables.addresses.len() {
                1 => "1 address".to_owned(),
                number => format!("{number} addresses"),
            };
            Diagnosis::ok(
                check,
                format!("{DEVICE} is a dummy device with {addresses}"),
            )
        }
    };
    vec![diagnosis]
}

/// Checks that each address has a virtual server, and each virtual server of ours its address.
pub(super) fn addresses(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "addresses";
    let Some(live) = facts.live.as_ref().filter(|live| live.device) else {
        return Vec::new();
    };
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
        planner::is_marked(live, **key) && !address(key).is_some_and(is_here)
    };
    let astray = tables.virtual_servers.keys().filter(is_astray);
    let astray: Vec<String> = astray.map(ToString::to_string).collect();
    let mut found = Vec::new();
    if !idle.is_empty() {
        found.push(Diagnosis::warning(
            check,
            format!("{} of {DEVICE} without a virtual server: {}", count_addresses(idle.len()), some(&idle)),
            "connections of this node to it reach ports of the node instead of a Service",
            "kube-ipvsd deletes it at its next audit; if it stays, see ipvsctl diff and the log of kube-ipvsd",
        ));
    }
    if !astray.is_empty() {
        found.push(Diagnosis::problem(
            check,
            format!("no interface has the address of {}", some(&astray)),
            "this node does not accept packets to it, so that IPVS never sees them",
            "kube-ipvsd adds it at its next audit; if it stays missing, see ipvsctl diff and the log of kube-ipvsd",
        ));
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
    let drains = schema::drains(reported, Some(live));
    if drains.is_empty() {
        return vec![Diagnosis::ok(check, "no real server drains")];
    }
    let is_kept = facts.daemon.drains.is_some();
    let forgotten = |drain: &&Drain| !is_kept || !drain.known_to_daemon;
    let endless =
        |drain: &&Drain| !forgotten(drain) && drain.deadline.is_none() && connections(drain) > 0;
    let of = |wanted: &dyn Fn(&&Drain) -> bool| drains.iter().filter(wanted).collect::<Vec<_>>();
    let (forgotten, endless) = (of(&forgotten), of(&endless));
    let diagnosis = if !forgotten.is_empty() {
        Diagnosis::warning(
            check,
            format!("{}, not reported by kube-ipvsd", describe(&forgotten)),
            "only kube-ipvsd deletes real servers of weight 0",
            "start kube-ipvsd, which ends drains; or delete the real server with ipvsadm -d, which cuts its connections",
        )
    } else if !endless.is_empty() {
        Diagnosis::warning(
            check,
            format!("{}, without a deadline", describe(&endless)),
            "the real server stays as long as clients keep their connections open",
            "set drainTimeout above 0, or close the connections at the clients",
        )
    } else {
        Diagnosis::ok(check, describe(&drains.iter().collect::<Vec<_>>()))
    };
    vec![diagnosis]
}

fn connections(drain: &Drain) -> u32 {
    let active = drain.active_connections.unwrap_or(0);
    active.saturating_add(drain.inactive_connections.unwrap_or(0))
}

fn describe(drains: &[&Drain]) -> String {
    let each: Vec<String> = drains
        .iter()
        .map(|drain| {
            let Drain {
                virtual_server,
                real_server,
                active_connections,
                inactive_connections,
                ..
            } = drain;
            let (active, inactive) = (active_connections.unwrap_or(0), inactive_connections.unwrap_or(0));
            format!("{real_server} of {virtual_server} ({active} active, {inactive} inactive connections)")
        })
        .collect();
    format!(
        "{} of weight 0: {}",
        count(drains.len(), "real server"),
        some(&each)
    )
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
    let why =
        "a full set rejects further entries, whose packets are then not masqueraded or accepted";
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
        (false, false, true) => Diagnosis::problem(check, found, why, action),
        (false, false, false) => Diagnosis::warning(check, found, why, action),
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
