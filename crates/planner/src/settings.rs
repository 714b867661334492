//! Kernel settings that a node must have: those of kube-proxy (pkg/proxy/ipvs/proxier.go and cmd/kube-proxy/app/conntrack.go, 1.34)
//! and of deviations D15 and D19.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::config::{ConntrackSettings, NodeConfig};
use model::finding::{Code, Finding};
use model::names::{Name, ObjectName};
use model::snapshot::{KernelVersion, Machine, Snapshot};

/// The size of the connection tracker's table: the one setting that is a least value.
const BUCKETS: &str = "net.netfilter.nf_conntrack_buckets";

/// The settings below `/proc/sys`.
pub(crate) fn sysctls(config: &NodeConfig, machine: Machine) -> BTreeMap<Name, Name> {
    let always = [
        ("net.ipv4.vs.conntrack", "1"),
        ("net.ipv4.vs.expire_nodest_conn", "1"),
        ("net.ipv4.vs.expire_quiescent_template", "1"),
        ("net.ipv4.ip_forward", "1"),
    ];
    let strict_arp = [
        ("net.ipv4.conf.all.arp_ignore", "1"),
        ("net.ipv4.conf.all.arp_announce", "2"),
    ];
    let strict_arp = config.strict_arp.then_some(strict_arp);
    let conntrack = conntrack(&config.kernel_settings.conntrack, machine.processors);
    (always.into_iter())
        .chain(strict_arp.into_iter().flatten())
        .chain(machine.kernel.and_then(conn_reuse_mode))
        .map(|(name, value)| (name.into(), value.into()))
        .chain(conntrack)
        .collect()
}

/// Whether the kernel's value of a setting is as good as the wanted one.
pub(crate) fn is_met(name: &str, live: &str, wanted: &str) -> bool {
    let numbers = live.parse::<u64>().ok().zip(wanted.parse::<u64>().ok());
    match numbers {
        Some((live, wanted)) if name == BUCKETS => live >= wanted,
        _ => live == wanted,
    }
}

/// What is odd about how long idle connections are known (deviation D19). A connection must be known to IPVS
/// and to the connection tracker: the shorter time counts (k/k#120076).
#[must_use]
pub fn idle_timeouts(live: &Snapshot, node: &Name) -> Vec<Finding> {
    let seconds = |name: &str| live.tables.sysctls.get(name)?.parse::<u64>().ok();
    let known = |seconds: &u64| *seconds > 0;
    let mut findings = Vec::new();
    let mut find = |code, field: &str, problem: String, consequence: &str| {
        findings.push(Finding {
            code,
            kind: "Node",
            object: ObjectName::new("", node.clone()),
            field: field.to_owned(),
            problem,
            consequence: consequence.to_owned(),
        });
    };
    let ipvs = Some(live.tables.timeouts.tcp.as_secs()).filter(known);
    let tracked = seconds("net.netfilter.nf_conntrack_tcp_timeout_established");
    if let (Some(forgotten), Some(keepalive)) = (
        ipvs.into_iter().chain(tracked).min(),
        seconds("net.ipv4.tcp_keepalive_time"),
    ) && forgotten < keepalive
    {
        find(
            Code::IdleTcpForgotten,
            "ipvs.tcpTimeout",
            format!(
                "TCP connections are forgotten after {forgotten} s without a packet, and this node's \
                 keepalive begins after {keepalive} s"
            ),
            "an idle connection breaks at its next packet, unless the program itself speaks earlier",
        );
    }
    let ipvs = Some(live.tables.timeouts.udp.as_secs()).filter(known);
    let tracked = seconds("net.netfilter.nf_conntrack_udp_timeout_stream");
    if let (Some(ipvs), Some(tracked)) = (ipvs, tracked)
        && tracked < ipvs
    {
        find(
            Code::UdpTrackedTooBriefly,
            "ipvs.udpTimeout",
            format!(
                "IPVS remembers UDP flows for {ipvs} s, the connection tracker for {tracked} s"
            ),
            "flows are forgotten after the shorter time",
        );
    }
    findings
}

/// What to do with a packet that opens a connection where an old one with the same ports is known. With 1
/// a new real server is chosen; before Linux 5.9 that cost the client a second, since the first packet
/// was dropped, and 0 is better (k/k#93297). Where the setting is unknown, it is left alone
/// (deviation D15).
fn conn_reuse_mode(kernel: KernelVersion) -> Option<(&'static str, &'static str)> {
    let value = match (kernel.major, kernel.minor) {
        (..4, _) | (4, 0) => return None,
        (4, _) | (5, ..9) => "0",
        _ => "1",
    };
    Some(("net.ipv4.vs.conn_reuse_mode", value))
}

fn conntrack(settings: &ConntrackSettings, processors: Option<u32>) -> Vec<(Name, Name)> {
    let timeouts = [
        ("tcp_timeout_established", settings.tcp_established_timeout),
        ("tcp_timeout_close_wait", settings.tcp_close_wait_timeout),
        ("udp_timeout", settings.udp_timeout),
        ("udp_timeout_stream", settings.udp_stream_timeout),
    ];
    let timeouts = (timeouts.into_iter()).map(|(name, timeout)| (name, timeout.as_secs()));
    let max = processors.map_or(0, |count| limit(settings, count));
    timeouts
        .chain([
            ("tcp_be_liberal", u64::from(settings.tcp_be_liberal)),
            ("max", max),
            ("buckets", max / 4),
        ])
        .filter(|(_, value)| *value > 0)
        .map(|(name, value)| {
            let name = format!("net.netfilter.nf_conntrack_{name}");
            (name.into(), value.to_string().into())
        })
        .collect()
}

/// How many connections are tracked at most; 0 leaves that as it is.
fn limit(settings: &ConntrackSettings, processors: u32) -> u64 {
    match settings.max_per_core {
        0 => 0,
        each => (u64::from(each) * u64::from(processors)).max(u64::from(settings.min)),
    }
}
