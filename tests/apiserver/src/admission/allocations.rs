//! The cluster IPs and node ports that are taken, and by whom.

use crate::object::Key;
use ipnetwork::IpNetwork;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The cluster IPs and node ports of all Services in the store.
#[derive(Debug)]
pub(crate) struct Allocations {
    ranges: Vec<IpNetwork>,
    node_ports: RangeInclusive<u16>,
    ips: BTreeMap<IpAddr, Key>,
    ports: BTreeMap<u16, Key>,
    /// Where the search for a free one begins: just after the last one given out.
    next_ip: BTreeMap<bool, u128>,
    next_port: u16,
}

impl Allocations {
    /// Nothing taken; the first range is the cluster's primary family.
    pub(crate) fn new(ranges: Vec<IpNetwork>, node_ports: RangeInclusive<u16>) -> Self {
        let next_port = *node_ports.start();
        Self {
            ranges,
            node_ports,
            ips: BTreeMap::new(),
            ports: BTreeMap::new(),
            next_ip: BTreeMap::new(),
            next_port,
        }
    }

    /// Follows a change in the store; either side is `None` where there is no such version.
    pub(crate) fn follow(&mut self, old: Option<&Value>, new: Option<&Value>) {
        if let Some(old) = old {
            let key = Key::of(old);
            for ip in cluster_ips(old) {
                if self.ips.get(&ip) == Some(&key) {
                    self.ips.remove(&ip);
                }
            }
            for port in node_ports(old) {
                if self.ports.get(&port) == Some(&key) {
                    self.ports.remove(&port);
                }
            }
        }
        if let Some(new) = new {
            let key = Key::of(new);
            for ip in cluster_ips(new) {
                if let Some(after) = self.offset(ip).map(|o| o + 1)
                    && old.is_none()
                {
                    let next = self.next_ip.entry(ip.is_ipv4()).or_default();
                    *next = after.max(*next);
                }
                self.ips.entry(ip).or_insert_with(|| key.clone());
            }
            for port in node_ports(new) {
                if self.node_ports.contains(&port) {
                    self.next_port = port.checked_add(1).unwrap_or(port);
                }
                self.ports.entry(port).or_insert_with(|| key.clone());
            }
        }
    }

    /// Returns true if the cluster has this family.
    pub(crate) fn has_family(&self, ipv4: bool) -> bool {
        self.ranges.iter().any(|r| r.is_ipv4() == ipv4)
    }

    /// Returns true if the cluster has both families.
    pub(crate) fn is_dual(&self) -> bool {
        self.has_family(true) && self.has_family(false)
    }

    /// Returns true if the cluster's primary family is IPv4.
    pub(crate) fn primary_is_ipv4(&self) -> bool {
        self.ranges.first().is_none_or(IpNetwork::is_ipv4)
    }

    /// Why a Service cannot have this address, if it cannot.
    pub(crate) fn refuse_ip(&self, ip: IpAddr, owner: &Key) -> Option<String> {
        let Some(range) = self.ranges.iter().find(|r| r.is_ipv4() == ip.is_ipv4()) else {
            return Some(format!("no range for the family of {ip}"));
        };
        if !range.contains(ip) || ip == range.network() || (ip.is_ipv4() && ip == range.broadcast())
        {
            return Some(format!(
                "the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}"
            ));
        }
        let taken = self.ips.get(&ip).is_some_and(|k| k != owner);
        taken.then(|| "provided IP is already allocated".to_owned())
    }

    /// A free address of a family, after the lower band that is kept for addresses asked for by name.
    pub(crate) fn free_ip(&self, ipv4: bool) -> Option<IpAddr> {
        let range = self.ranges.iter().find(|r| r.is_ipv4() == ipv4)?;
        let bits = if ipv4 { 32 } else { 128 } - u32::from(range.prefix());
        let size = 1_u128.checked_shl(bits.min(16)).unwrap_or(1 << 16);
        // k8s.io/kubernetes pkg/registry/core/service/ipallocator: min(max(16, size/16), 256).
        let band = (size / 16).clamp(16, 256).min(size / 2);
        let last = if ipv4 { size - 1 } else { size };
        let start = self
            .next_ip
            .get(&ipv4)
            .copied()
            .unwrap_or(band + 1)
            .max(band + 1);
        (start..last)
            .chain(band + 1..start.min(last))
            .chain(1..band + 1)
            .map(|o| at(range.network(), o))
            .find(|ip| !self.ips.contains_key(ip))
    }

    /// Why a Service cannot have this node port, if it cannot.
    pub(crate) fn refuse_port(&self, port: u16, owner: &Key) -> Option<String> {
        if !self.node_ports.contains(&port) {
            let (low, high) = (self.node_ports.start(), self.node_ports.end());
            return Some(format!(
                "provided port is not in the valid range. The range of valid ports is {low}-{high}"
            ));
        }
        let taken = self.ports.get(&port).is_some_and(|k| k != owner);
        taken.then(|| "provided port is already allocated".to_owned())
    }

    /// A free node port that is not among those already chosen.
    pub(crate) fn free_port(&self, chosen: &BTreeSet<u16>) -> Option<u16> {
        let (low, high) = (*self.node_ports.start(), *self.node_ports.end());
        let start = self.next_port.clamp(low, high);
        (start..=high)
            .chain(low..start)
            .find(|p| !self.ports.contains_key(p) && !chosen.contains(p))
    }

    fn offset(&self, ip: IpAddr) -> Option<u128> {
        let range = self.ranges.iter().find(|r| r.contains(ip))?;
        Some(number(ip) - number(range.network()))
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn at(network: IpAddr, offset: u128) -> IpAddr {
    match network {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add(offset as u32)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add(offset)).into(),
    }
}

fn cluster_ips(service: &Value) -> Vec<IpAddr> {
    let all = service["spec"]["clusterIPs"]
        .as_array()
        .into_iter()
        .flatten();
    all.chain([&service["spec"]["clusterIP"]])
        .filter_map(|v| v.as_str()?.parse().ok())
        .collect()
}

fn node_ports(service: &Value) -> Vec<u16> {
    let ports = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| &p["nodePort"]);
    ports
        .chain([&service["spec"]["healthCheckNodePort"]])
        .filter_map(|v| v.as_u64()?.try_into().ok())
        .filter(|p| *p != 0)
        .collect()
}
