//! Findings about rules of other programs that block packets to Services.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ipset::Entry;
use ipvs::{AddressFamily, Protocol, VirtualServerKey};
use model::config::NodeConfig;
use model::finding::{Code, Finding};
use model::host_rules::{Harm, Hook, HostPacket};
use model::names::ObjectName;
use model::sets::SetKind;
use model::snapshot::Snapshot;

/// Maximum number of rules evaluated for one family, over all packets. Packets to later virtual
/// servers are not evaluated.
const STEPS: usize = 200_000;

/// Maximum number of findings about one family.
const FINDINGS: usize = 8;

/// A rule or policy of another program that harms Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarmfulRule {
    /// Finding about the rule, with the first virtual server that it affects.
    pub finding: Finding,
    /// Virtual servers that it affects, in order. A limit on the evaluated rules may leave out the
    /// last ones.
    pub servers: Vec<VirtualServerKey>,
}

/// Returns findings about rules of other programs in `live`: rules of INPUT that drop packets to
/// Services, and rules that disable connection tracking for them. Each rule or policy has one
/// finding, with the first virtual server that it affects.
#[must_use]
pub fn harmful_rules(live: &Snapshot, config: &NodeConfig) -> Vec<Finding> {
    let rules = harmful_rules_with_servers(live, config).into_iter();
    rules.map(|rule| rule.finding).collect()
}

/// Does the same as [`harmful_rules`], and returns also the virtual servers that each rule affects.
#[must_use]
pub fn harmful_rules_with_servers(live: &Snapshot, config: &NodeConfig) -> Vec<HarmfulRule> {
    let mut rules = Vec::new();
    for family in live.host_rules.keys() {
        let harms = harms(live, *family).into_iter().take(FINDINGS);
        rules.extend(harms.map(|((hook, by), harmed)| {
            let by = format!("{by} of {}", text(*family));
            HarmfulRule {
                finding: finding(hook, &by, harmed.first, &harmed.harm, config),
                servers: harmed.servers,
            }
        }));
    }
    rules
}

/// Packets that one rule or policy harms.
struct Harmed {
    first: HostPacket,
    harm: Harm,
    servers: Vec<VirtualServerKey>,
}

/// Returns the harm in one family by rule or policy. Packets that another rule accepts are left out
/// if there are packets that none accepts.
fn harms(live: &Snapshot, family: AddressFamily) -> BTreeMap<(Hook, String), Harmed> {
    let mut found: BTreeMap<(Hook, String), Harmed> = BTreeMap::new();
    let Some(rules) = live.host_rules.get(&family) else {
        return found;
    };
    let rules = match live.tables.rules.get(&family) {
        Some(ours) => rules.beside(ours),
        None => rules.clone(),
    };
    let mut steps = STEPS;
    for packet in packets(live, family) {
        for hook in Hook::REPORTED {
            let harm = rules.judge(hook, packet, &live.tables.sets, &mut steps);
            let Some(harm) = harm else {
                continue;
            };
            let new = |harm| Harmed {
                first: packet,
                harm,
                servers: Vec::new(),
            };
            let known = found.entry((hook, harm.by.clone()));
            let harmed = known.or_insert_with(|| new(harm.clone()));
            if harmed.harm.unless.is_some() && harm.unless.is_none() {
                *harmed = new(harm.clone());
            }
            if harmed.harm.unless.is_some() == harm.unless.is_some() {
                harmed.servers.push(key_of(packet));
            }
        }
        if steps == 0 {
            break;
        }
    }
    found
}

/// Returns the first packets of connections to served virtual servers, in the order of virtual
/// servers.
fn packets(live: &Snapshot, family: AddressFamily) -> impl Iterator<Item = HostPacket> {
    let holds = move |kind: SetKind, entry: Entry| {
        let set = live.tables.sets.get(&kind.name(family));
        set.is_some_and(|set| set.entries.contains(&entry))
    };
    let is_served = move |packet: &HostPacket| {
        let protocol = ipset::Protocol(packet.protocol.number());
        let at = Entry::IpPort(packet.address, protocol, packet.port);
        let kinds = [
            SetKind::ClusterIp,
            SetKind::LoadBalancer,
            SetKind::ExternalIp,
            SetKind::ExternalIpLocal,
            SetKind::NodePortSctp,
        ];
        let port = Entry::Port(packet.port);
        kinds.into_iter().any(|kind| holds(kind, at))
            || match packet.protocol {
                Protocol::Tcp => holds(SetKind::NodePortTcp, port),
                Protocol::Udp => holds(SetKind::NodePortUdp, port),
                _ => false,
            }
    };
    let keys = live.tables.virtual_servers.keys();
    let packets = keys.filter_map(move |key| match *key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } if AddressFamily::of(address) == family => Some(HostPacket {
            address,
            port,
            protocol,
        }),
        _ => None,
    });
    packets.filter(is_served)
}

/// Returns the virtual server that `packet` goes to.
fn key_of(packet: HostPacket) -> VirtualServerKey {
    let HostPacket {
        address,
        port,
        protocol,
    } = packet;
    VirtualServerKey::Address {
        address,
        port,
        protocol,
    }
}

fn finding(hook: Hook, by: &str, packet: HostPacket, harm: &Harm, config: &NodeConfig) -> Finding {
    let key = key_of(packet);
    let (code, field, problem, consequence) = match (hook, &harm.unless) {
        (Hook::Input | Hook::Forward | Hook::Output, None) => (
            Code::InputDrops,
            "acceptServedTraffic",
            format!("{by} drops packets to Services, such as {key}"),
            match config.accept_served_traffic {
                false => {
                    "connections from pods and from outside get no answer; set acceptServedTraffic: true, or accept them by a \
                     rule of your own"
                }
                true => {
                    "connections from pods and from outside get no answer: the rule stands before those of kube-ipvsd; move it \
                     behind the jump to KUBE-NODE-PORT"
                }
            },
        ),
        (Hook::Input | Hook::Forward | Hook::Output, Some(unless)) => (
            Code::InputMayDrop,
            "acceptServedTraffic",
            format!(
                "{by} drops packets to Services, such as {key}, that no earlier rule accepts; the first one that accepts some is \
                 `{unless}`"
            ),
            "other connections get no answer; where they should, set acceptServedTraffic: true",
        ),
        (Hook::RawPrerouting | Hook::RawOutput, _) => (
            Code::NotTracked,
            "rules",
            format!("{by} keeps packets to {key} from connection tracking"),
            "IPVS cannot masquerade them, so connections that need it get no answer; delete the rule, or leave this address out \
             of the program that wrote it",
        ),
    };
    Finding {
        code,
        kind: "Node",
        object: ObjectName::new("", config.node_name.clone()),
        field: field.to_owned(),
        problem,
        consequence: consequence.to_owned(),
    }
}

fn text(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "the IPv4 packet filter",
        AddressFamily::Ipv6 => "the IPv6 packet filter",
    }
}
