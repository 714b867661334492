//! Kernel settings that a node needs: those of kube-proxy (pkg/proxy/ipvs/proxier.go and
//! cmd/kube-proxy/app/conntrack.go, 1.34) and those of deviations D15 and D19.

mod keepalive;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use ipvs::SyncRole;
use model::config::{ConntrackSettings, KernelSettings, NodeConfig};
use model::finding::{Code, Finding};
use model::names::{Name, ObjectName};
use model::snapshot::{KernelVersion, Machine, Snapshot};

pub(crate) use self::keepalive::timeouts;

/// Settings with a minimum: the size of the connection tracker's table. A larger value is kept. A
/// smaller table would lose connections, and an administrator chose the larger value (k/k#142035).
const LEAST: [&str; 2] = [
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_buckets",
];

/// Limit of the number of tracked connections that is derived from the number of processors, as in
/// kube-proxy since 1.36. It corresponds to about 400 MB of kernel memory.
const CONNECTIONS_BY_PROCESSORS_MAX: u64 = 1 << 20;

/// Returns the settings below `/proc/sys`.
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
    // By default only a connection's third packet of the client is sent, then every 50th. With 0 0
    // the refresh period decides: a connection is sent once it is established, and again when its
    // backup's timer is 10 s late (`ip_vs_sync_conn_needed`, net/netfilter/ipvs/ip_vs_sync.c).
    let master = [
        ("net.ipv4.vs.sync_refresh_period", "10"),
        ("net.ipv4.vs.sync_threshold", "0\t0"),
    ];
    let roles = config.kernel_settings.sync.role.roles();
    let master = roles.contains(&SyncRole::Master).then_some(master);
    let conntrack = conntrack(&config.kernel_settings, machine);
    (always.into_iter())
        .chain(strict_arp.into_iter().flatten())
        .chain(master.into_iter().flatten())
        .chain(machine.kernel.and_then(conn_reuse_mode))
        .map(|(name, value)| (name.into(), value.into()))
        .chain(conntrack)
        .collect()
}

/// Returns true if the kernel's value of a setting satisfies the wanted value.
pub(crate) fn is_met(name: &str, live: &str, wanted: &str) -> bool {
    let numbers = live.parse::<u64>().ok().zip(wanted.parse::<u64>().ok());
    match numbers {
        Some((live, wanted)) if LEAST.contains(&name) => live >= wanted,
        _ => live == wanted,
    }
}

/// A setting whose value in the kernel does not satisfy the wanted value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmetSetting {
    /// Name of the setting, with dots between its parts.
    pub name: Name,
    /// The kernel's value; `None` if the kernel does not have the setting, or not yet.
    pub live: Option<Name>,
    /// The wanted value.
    pub wanted: Name,
}

/// Returns the settings of the node that do not satisfy `config`, ordered by name.
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

/// Idle timeouts of connections and the start of TCP keepalive, in seconds. `None` if unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleTimes {
    /// IPVS timeout of an established TCP connection.
    pub ipvs_tcp: Option<u64>,
    /// Connection tracker timeout of an established TCP connection.
    pub tracked_tcp: Option<u64>,
    /// IPVS timeout of a UDP flow.
    pub ipvs_udp: Option<u64>,
    /// Connection tracker timeout of a UDP flow with replies.
    pub tracked_udp: Option<u64>,
    /// Idle time after which the node's own sockets send keepalive probes.
    pub keepalive: Option<u64>,
}

impl IdleTimes {
    /// Returns the times in `live`.
    #[must_use]
    pub fn of(live: &Snapshot) -> Self {
        let setting = |name: &str| live.tables.sysctls.get(name)?.parse::<u64>().ok();
        // Zero stands for a value that was not read.
        let timeout = |time: Duration| Some(time.as_secs()).filter(|seconds| *seconds > 0);
        let timeouts = live.tables.timeouts;
        Self {
            ipvs_tcp: timeout(timeouts.tcp),
            tracked_tcp: setting("net.netfilter.nf_conntrack_tcp_timeout_established"),
            ipvs_udp: timeout(timeouts.udp),
            tracked_udp: setting("net.netfilter.nf_conntrack_udp_timeout_stream"),
            keepalive: (live.node.machine.keepalive).map(|keepalive| keepalive.time.into()),
        }
    }

    /// Returns the idle time after which a TCP connection is forgotten: the shorter of the two
    /// timeouts.
    #[must_use]
    pub fn tcp(&self) -> Option<u64> {
        self.ipvs_tcp.into_iter().chain(self.tracked_tcp).min()
    }
}

/// Returns findings about the idle timeouts (deviation D19). A connection must be known to both
/// IPVS and the connection tracker, so the shorter timeout counts (k/k#120076).
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

/// Returns the setting for a packet that opens a connection with the ports of an old one. The value
/// 1 selects a new real server. Before Linux 5.9 it dropped the first packet, which delayed the
/// client by a second, so 0 is better there (k/k#93297). Kernels without the setting are left alone
/// (deviation D15).
fn conn_reuse_mode(kernel: KernelVersion) -> Option<(&'static str, &'static str)> {
    let value = match (kernel.major, kernel.minor) {
        (..4, _) | (4, 0) => return None,
        (4, _) | (5, ..9) => "0",
        _ => "1",
    };
    Some(("net.ipv4.vs.conn_reuse_mode", value))
}

fn conntrack(kernel_settings: &KernelSettings, machine: Machine) -> Vec<(Name, Name)> {
    let settings = &kernel_settings.conntrack;
    let tcp_established = keepalive::tracked(kernel_settings, machine);
    let timeouts = [
        ("tcp_timeout_established", tcp_established),
        ("tcp_timeout_close_wait", settings.tcp_close_wait_timeout),
        ("udp_timeout", settings.udp_timeout),
        ("udp_timeout_stream", settings.udp_stream_timeout),
    ];
    let timeouts = (timeouts.into_iter()).map(|(name, timeout)| (name, timeout.as_secs()));
    let max = (machine.processors).map_or(0, |count| limit(settings, count));
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

/// Returns the maximum number of tracked connections, or 0 to keep the current one. `min` may
/// exceed the number derived from the processors.
fn limit(settings: &ConntrackSettings, processors: u32) -> u64 {
    match settings.max_per_core {
        0 => 0,
        each => (u64::from(each) * u64::from(processors))
            .min(CONNECTIONS_BY_PROCESSORS_MAX)
            .max(u64::from(settings.min)),
    }
}
