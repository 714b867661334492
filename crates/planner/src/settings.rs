//! Kernel settings that a node must have: those of kube-proxy (pkg/proxy/ipvs/proxier.go and cmd/kube-proxy/app/conntrack.go, 1.34)
//! and of deviations D15 and D19.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use model::config::{ConntrackSettings, NodeConfig};
use model::finding::{Code, Finding};
use model::names::{Name, ObjectName};
use model::snapshot::{KernelVersion, Machine, Snapshot};

/// Settings that are least values, the size of the connection tracker's table: a larger one stays. A smaller table would lose
/// connections, and it is as large as it is since somebody made it so (k/k#142035).
const LEAST: [&str; 2] = [
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_buckets",
];

/// The number of tracked connections at which the number of processors asks for no more, as in kube-proxy since 1.36: some
/// 400 MB of the kernel's memory.
const CONNECTIONS_BY_PROCESSORS_MAX: u64 = 1 << 20;

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

/// Returns true if the kernel's value of a setting is as good as the wanted one.
pub(crate) fn is_met(name: &str, live: &str, wanted: &str) -> bool {
    let numbers = live.parse::<u64>().ok().zip(wanted.parse::<u64>().ok());
    match numbers {
        Some((live, wanted)) if LEAST.contains(&name) => live >= wanted,
        _ => live == wanted,
    }
}

/// A setting whose value in the kernel is not as good as the wanted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmetSetting {
    /// Its name, dots between its parts.
    pub name: Name,
    /// The kernel's value; none where the kernel has no such setting, or not yet.
    pub live: Option<Name>,
    /// The wanted value.
    pub wanted: Name,
}

/// The settings of the node that was read that are not as `config` wants them, ordered by name.
#[must_use]
pub fn unmet_settings(live: &Snapshot, config: &NodeConfig) -> Vec<UnmetSetting> {
    let unmet = sysctls(config, live.node.machine)
        .into_iter()
        .map(|(name, wanted)| UnmetSetting {
            live: live.tables.sysctls.get(&name).cloned(),
            name,
            wanted,
        });
    let is_unmet = |setting: &UnmetSetting| {
        let UnmetSetting { name, live, wanted } = setting;
        !(live.as_ref()).is_some_and(|live| is_met(name, live, wanted))
    };
    unmet.filter(is_unmet).collect()
}

/// For how long connections are known without a packet, and when keepalive speaks; seconds. None is not
/// known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleTimes {
    /// IPVS, an established TCP connection.
    pub ipvs_tcp: Option<u64>,
    /// The connection tracker, the same.
    pub tracked_tcp: Option<u64>,
    /// IPVS, a UDP flow.
    pub ipvs_udp: Option<u64>,
    /// The connection tracker, a UDP flow with answers.
    pub tracked_udp: Option<u64>,
    /// After how long without a packet the node's own sockets ask whether the other end is there.
    pub keepalive: Option<u64>,
}

impl IdleTimes {
    /// As `live` has them.
    #[must_use]
    pub fn of(live: &Snapshot) -> Self {
        let setting = |name: &str| live.tables.sysctls.get(name)?.parse::<u64>().ok();
        // Zero is what was not read.
        let timeout = |time: Duration| Some(time.as_secs()).filter(|seconds| *seconds > 0);
        let timeouts = live.tables.timeouts;
        Self {
            ipvs_tcp: timeout(timeouts.tcp),
            tracked_tcp: setting("net.netfilter.nf_conntrack_tcp_timeout_established"),
            ipvs_udp: timeout(timeouts.udp),
            tracked_udp: setting("net.netfilter.nf_conntrack_udp_timeout_stream"),
            keepalive: setting("net.ipv4.tcp_keepalive_time"),
        }
    }

    /// After how long a TCP connection is forgotten: the shorter time counts.
    #[must_use]
    pub fn tcp(&self) -> Option<u64> {
        self.ipvs_tcp.into_iter().chain(self.tracked_tcp).min()
    }
}

/// Returns findings about the times for which idle connections are known (deviation D19). A connection must be known to IPVS and
/// to the connection tracker: the shorter time counts (k/k#120076).
#[must_use]
pub fn idle_timeouts(live: &Snapshot, node: &Name) -> Vec<Finding> {
    let times = IdleTimes::of(live);
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
    if let (Some(forgotten), Some(keepalive)) = (times.tcp(), times.keepalive)
        && forgotten < keepalive
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
    if let (Some(ipvs), Some(tracked)) = (times.ipvs_udp, times.tracked_udp)
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

/// Returns the setting for a packet that opens a connection where an old one with the same ports is known. With 1 a new real
/// server is chosen; before Linux 5.9 that cost the client a second, since the first packet was dropped, and 0 is better
/// (k/k#93297). Where the setting is unknown, it is left alone (deviation D15).
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

/// Returns the maximum number of tracked connections; 0 leaves that as it is. `min` may be above what processors ask for.
fn limit(settings: &ConntrackSettings, processors: u32) -> u64 {
    match settings.max_per_core {
        0 => 0,
        each => (u64::from(each) * u64::from(processors))
            .min(CONNECTIONS_BY_PROCESSORS_MAX)
            .max(u64::from(settings.min)),
    }
}
