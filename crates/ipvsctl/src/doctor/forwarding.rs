//! Checks of virtual servers whose packets are not rewritten: direct routing and tunnels.

#[cfg(test)]
mod tests;

use ipvs::{AddressFamily, Forwarding, TunnelKind, VirtualServerKey};
use model::snapshot::KernelVersion;
use model::{DEVICE, NodeTables};

use super::facts::NodeFacts;
use super::{Diagnosis, count, some};

const CHECK: &str = "forwarding";

/// First kernel with each kind of tunnel except ipip (`ip_vs_tunnel_xmit`,
/// `net/netfilter/ipvs/ip_vs_xmit.c`). An older one takes it for ipip.
const SINCE: [(TunnelKind, KernelVersion); 2] = [
    (TunnelKind::Gue, KernelVersion { major: 5, minor: 3 }),
    (TunnelKind::Gre, KernelVersion { major: 5, minor: 4 }),
];

pub(super) fn endpoints(facts: &NodeFacts) -> Vec<Diagnosis> {
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let tables = facts
        .compared()
        .map_or(&live.tables, |compared| &compared.input.desired.tables);
    let servers = servers(tables, |method| {
        matches!(method, Forwarding::DirectRoute | Forwarding::Tunnel(_))
    });
    if servers.is_empty() {
        return vec![Diagnosis::ok(
            CHECK,
            "every real server gets its packets by masquerading",
        )];
    }
    let mut found = unknown_tunnels(facts, tables);
    found.extend(clients_here(facts, tables, &servers));
    if found.is_empty() {
        let servers = count(servers.len(), "virtual server");
        let text = format!("{servers} with direct routing or tunnels");
        found.push(Diagnosis::ok(CHECK, text));
    }
    found
}

/// Returns the virtual servers with a real server of such a method.
fn servers(tables: &NodeTables, is_meant: impl Fn(Forwarding) -> bool) -> Vec<VirtualServerKey> {
    let servers = tables.virtual_servers.iter();
    let meant = servers.filter(|(_, entry)| {
        let mut reals = entry.real_servers.values();
        reals.any(|real| is_meant(real.forwarding))
    });
    meant.map(|(key, _)| *key).collect()
}

/// Reports tunnels of a kind that this kernel does not know.
fn unknown_tunnels(facts: &NodeFacts, tables: &NodeTables) -> Vec<Diagnosis> {
    let Ok(kernel) = facts.release.parse::<KernelVersion>() else {
        return Vec::new();
    };
    let too_new = SINCE.iter().filter(|(_, since)| kernel < *since);
    let reports = too_new.filter_map(|(kind, since)| {
        let servers = servers(
            tables,
            |method| matches!(method, Forwarding::Tunnel(tunnel) if tunnel.kind == *kind),
        );
        let found = format!(
            "{} with {kind} tunnels, which Linux has since {since}; this is {kernel}",
            count(servers.len(), "virtual server")
        );
        let problem = Diagnosis::problem(
            CHECK,
            found,
            "connections get no answer: the kernel sends ipip packets instead",
            "choose type=ipip, or a newer kernel",
        );
        let problem = problem.with(lines(&servers)).about(facts.owners(&servers));
        (!servers.is_empty()).then_some(problem)
    });
    reports.collect()
}

/// Reports that clients on this node get no answers.
///
/// The kernel drops an IPv4 packet whose source is an address of the node, and a virtual address on
/// the dummy device is one (`fib_validate_source`, `net/ipv4/fib_frontend.c`, Linux 6.1). Answers to
/// clients elsewhere do not pass this node. IPv6 has no such check.
fn clients_here(
    facts: &NodeFacts,
    tables: &NodeTables,
    servers: &[VirtualServerKey],
) -> Option<Diagnosis> {
    let is_dropped = |key: &&VirtualServerKey| match key {
        VirtualServerKey::Address { address, .. } => {
            address.is_ipv4() && tables.addresses.contains(address)
        }
        VirtualServerKey::Fwmark { family, .. } => *family == AddressFamily::Ipv4,
    };
    let servers: Vec<VirtualServerKey> = servers.iter().filter(is_dropped).copied().collect();
    let accept = (facts.source_checks.iter()).filter(|(_, check)| check.accepts_own());
    if servers.is_empty() || facts.source_checks.is_empty() || accept.count() > 0 {
        return None;
    }
    let accepting = facts.source_checks.iter();
    let strict: Vec<String> = accepting
        .filter(|(_, check)| check.accept_local)
        .map(|(name, _)| format!("{name} (rp_filter is 1)"))
        .collect();
    let found = match strict.is_empty() {
        true => format!(
            "{} of IPv4 with direct routing or tunnels, and no interface accepts answers from addresses of {DEVICE}",
            count(servers.len(), "virtual server")
        ),
        false => format!(
            "{} of IPv4 with direct routing or tunnels; answers from addresses of {DEVICE} are dropped at {}",
            count(servers.len(), "virtual server"),
            some(&strict)
        ),
    };
    let warning = Diagnosis::warning(
        CHECK,
        found,
        "pods of this node and the node itself get no answer from endpoints on other hosts at these addresses; clients \
         elsewhere do, unless endpoints answer them through this node",
        "if such clients need them, set net.ipv4.conf.INTERFACE.accept_local to 1 and rp_filter of INTERFACE and all to 0 \
         or 2, for the interface at which packets of the endpoints arrive; or let these clients use the cluster IP, \
         which is masqueraded",
    );
    Some(warning.with(lines(&servers)))
}

fn lines(servers: &[VirtualServerKey]) -> Vec<String> {
    servers.iter().map(ToString::to_string).collect()
}
