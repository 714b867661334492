//! Fields that depend on other fields: their places, and the checks after all fields are read.
//! Fields are read in the order of the table.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use ipvs::{Scheduler, ServiceFlags};
use model::config::{
    DetectLocal, ExternalIpPolicy, HEALTHZ_PORT, METRICS_PORT, SCHEDULERS, SyncMode,
    default_scheduler_flags,
};
use model::{Name, NodeConfig};

use super::kind::{
    Kind, Syntax, Words, form, gates, item_text, one_of, read_list, word_list, words,
};
use super::reader::Reader;
use super::{Origin, Resolved, node_name};

pub(super) const HOSTNAME_OVERRIDE: &str = "hostnameOverride";

pub(super) fn set_node_name(reader: &mut Reader<'_>, text: &str) {
    let name = node_name(text);
    if name.is_empty() {
        reader.set_origin(HOSTNAME_OVERRIDE, Origin::Host);
    } else {
        reader.config.node.node_name = name;
    }
}

pub(super) fn bind_address(config: &Resolved) -> IpAddr {
    let unspecified = Ipv4Addr::UNSPECIFIED.into();
    config.node.bind_address.unwrap_or(unspecified)
}

/// Stores an address that is not unspecified. An IPv6 address changes the defaults of the daemon's
/// own addresses.
pub(super) fn set_bind_address(reader: &mut Reader<'_>, address: IpAddr) {
    let Resolved { node, settings, .. } = &mut reader.config;
    node.bind_address = Some(address).filter(|address| !address.is_unspecified());
    if address.is_ipv6() {
        settings.healthz_bind_address = Some((Ipv6Addr::UNSPECIFIED, HEALTHZ_PORT).into());
        settings.metrics_bind_address = Some((Ipv6Addr::LOCALHOST, METRICS_PORT).into());
    }
}

pub(super) const KUBECONFIG: &str = "clientConnection.kubeconfig";

pub(super) fn kubeconfig(config: &Resolved) -> String {
    let path = config.kubeconfig.as_ref();
    path.map_or_else(String::new, |path| path.display().to_string())
}

const SCHEDULER: &str = "ipvs.scheduler";

pub(super) fn set_scheduler(reader: &mut Reader<'_>, name: String) {
    if !SCHEDULERS.contains(&name.as_str()) {
        let what = "is no scheduler of Linux that is known here; the kernel decides";
        reader.warn(SCHEDULER, format!("{name} {what}"));
    }
    reader.config.node.scheduler_flags = default_scheduler_flags(&name);
    reader.config.node.scheduler = Scheduler(name.into());
}

/// A flag of a scheduler: its name in a file, with the scheduler and `IP_VS_SVC_F_SCHED_*`,
/// include/uapi/linux/ip_vs.h.
type SchedulerFlag = (&'static str, (&'static str, ServiceFlags));

const FLAGS: [SchedulerFlag; 4] = [
    ("sh-port", ("sh", ServiceFlags::SCHED_2)),
    ("sh-fallback", ("sh", ServiceFlags::SCHED_1)),
    ("mh-port", ("mh", ServiceFlags::SCHED_2)),
    ("mh-fallback", ("mh", ServiceFlags::SCHED_1)),
];

pub(super) const SCHEDULER_FLAGS: Kind<Vec<SchedulerFlag>> = Kind {
    form: || {
        form(
            format!("list of {}", word_list(&FLAGS)),
            "WORD,…",
            Syntax::List,
        )
    },
    read: |given, reading| read_list(given, reading, |item| one_of(&FLAGS, item_text(item)?)),
    write: |flags| flags.iter().map(|(word, _)| *word).collect(),
};

pub(super) fn scheduler_flags(config: &Resolved) -> Vec<SchedulerFlag> {
    let node = &config.node;
    let is_set = |(_, (scheduler, flag)): &SchedulerFlag| {
        **scheduler == *node.scheduler.0 && node.scheduler_flags.contains(*flag)
    };
    FLAGS.into_iter().filter(is_set).collect()
}

pub(super) fn set_scheduler_flags(reader: &mut Reader<'_>, given: Vec<SchedulerFlag>) {
    let mut flags = ServiceFlags::empty();
    for (index, (word, (owner, flag))) in given.into_iter().enumerate() {
        let scheduler = &reader.config.node.scheduler.0;
        if *owner != **scheduler {
            let message = format!("is for the scheduler {owner}, and {SCHEDULER} is {scheduler}");
            let path = format!("ipvs.schedulerFlags[{index}]");
            reader.conflict(path, format!("{word:?} {message}"), &[SCHEDULER]);
        }
        flags |= flag;
    }
    reader.config.node.scheduler_flags = flags;
}

/// Stores the bit. Changes the default of the other bit if it would be the same.
pub(super) fn set_masquerade_bit(reader: &mut Reader<'_>, bit: u8) {
    let masquerade = &mut reader.config.node.masquerade;
    if masquerade.drop_bit == bit {
        masquerade.drop_bit = masquerade.mark_bit;
    }
    masquerade.mark_bit = bit;
}

const CLUSTER_CIDR: &str = "clusterCIDR";
pub(super) const BRIDGE: &str = "detectLocal.bridgeInterface";
pub(super) const PREFIX: &str = "detectLocal.interfaceNamePrefix";

words! {
    /// `mode`.
    pub(super) enum ProxyMode {
        /// The only mode.
        Ipvs = "ipvs",
    }
}

words! {
    /// `detectLocalMode`.
    pub(super) enum LocalMode {
        ClusterCidr = "ClusterCIDR",
        NodeCidr = "NodeCIDR",
        BridgeInterface = "BridgeInterface",
        InterfaceNamePrefix = "InterfaceNamePrefix",
    }
}

pub(super) fn detect_local_mode(config: &Resolved) -> LocalMode {
    match config.node.detect_local {
        DetectLocal::ClusterCidr(_) => LocalMode::ClusterCidr,
        DetectLocal::NodeCidr => LocalMode::NodeCidr,
        DetectLocal::BridgeInterface(_) => LocalMode::BridgeInterface,
        DetectLocal::InterfaceNamePrefix(_) => LocalMode::InterfaceNamePrefix,
    }
}

pub(super) fn set_detect_local_mode(reader: &mut Reader<'_>, mode: LocalMode) {
    reader.config.node.detect_local = match mode {
        LocalMode::ClusterCidr => DetectLocal::ClusterCidr(Vec::new()),
        LocalMode::NodeCidr => DetectLocal::NodeCidr,
        LocalMode::BridgeInterface => DetectLocal::BridgeInterface(Name::default()),
        LocalMode::InterfaceNamePrefix => DetectLocal::InterfaceNamePrefix(Name::default()),
    };
}

pub(super) fn cluster_cidr(config: &Resolved) -> Vec<IpNetwork> {
    match &config.node.detect_local {
        DetectLocal::ClusterCidr(networks) => networks.clone(),
        _ => Vec::new(),
    }
}

pub(super) fn set_cluster_cidr(reader: &mut Reader<'_>, given: Vec<IpNetwork>) {
    match &mut reader.config.node.detect_local {
        DetectLocal::ClusterCidr(networks) => *networks = given,
        _ => of_another_mode(reader, CLUSTER_CIDR),
    }
}

/// Returns the name of interfaces if `path` is its field in the present mode.
fn interface<'a>(detect_local: &'a DetectLocal, path: &str) -> Option<&'a Name> {
    match (detect_local, path) {
        (DetectLocal::BridgeInterface(name), BRIDGE)
        | (DetectLocal::InterfaceNamePrefix(name), PREFIX) => Some(name),
        _ => None,
    }
}

pub(super) fn interface_text(config: &Resolved, path: &str) -> String {
    interface(&config.node.detect_local, path).map_or_else(String::new, ToString::to_string)
}

pub(super) fn set_interface(reader: &mut Reader<'_>, path: &str, given: String) {
    let detect_local = &mut reader.config.node.detect_local;
    match interface(detect_local, path) {
        None => of_another_mode(reader, path),
        Some(_) if path == BRIDGE => *detect_local = DetectLocal::BridgeInterface(given.into()),
        Some(_) => *detect_local = DetectLocal::InterfaceNamePrefix(given.into()),
    }
}

fn of_another_mode(reader: &mut Reader<'_>, path: &str) {
    let mode = detect_local_mode(&reader.config).word();
    let message = format!("has no effect while detectLocalMode is {mode}");
    reader.warn(path, message);
}

/// The feature gate of kube-proxy 1.36 by which no external address is served.
const EXTERNAL_IPS: &str = "AllowServiceExternalIPs";
const POLICY: &str = "externalIPPolicy";
const ALLOWED: &str = "allowedExternalCIDRs";

/// Feature gates. `config show` omits [`EXTERNAL_IPS`], which it shows as `externalIPPolicy`.
pub(super) const GATES: Kind<BTreeMap<String, bool>> = gates(|value| {
    let gates = value.iter().filter(|(name, _)| *name != EXTERNAL_IPS);
    gates.map(|(name, gate)| (name.clone(), *gate)).collect()
});

/// Applies the gate that has a field of ours as its equivalent. The others have no effect.
pub(super) fn set_gates(reader: &mut Reader<'_>, gates: &BTreeMap<String, bool>) {
    if gates.get(EXTERNAL_IPS) == Some(&false) {
        reader.config.node.external_ips = ExternalIpPolicy::Deny;
        let origin = reader.config.origins.get("featureGates").cloned();
        reader.set_origin(POLICY, origin.unwrap_or_default());
    }
}

words! {
    /// `externalIPPolicy`.
    pub(super) enum Policy {
        Allow = "Allow",
        AllowList = "AllowList",
        Deny = "Deny",
    }
}

pub(super) fn external_ips(config: &Resolved) -> Policy {
    match config.node.external_ips {
        ExternalIpPolicy::Allow => Policy::Allow,
        ExternalIpPolicy::AllowList(_) => Policy::AllowList,
        ExternalIpPolicy::Deny => Policy::Deny,
    }
}

pub(super) fn set_external_ips(reader: &mut Reader<'_>, policy: Policy) {
    reader.config.node.external_ips = match policy {
        Policy::Allow => ExternalIpPolicy::Allow,
        Policy::AllowList => ExternalIpPolicy::AllowList(Vec::new()),
        Policy::Deny => ExternalIpPolicy::Deny,
    };
}

pub(super) fn allowed_external(config: &Resolved) -> Vec<IpNetwork> {
    match &config.node.external_ips {
        ExternalIpPolicy::AllowList(networks) => networks.clone(),
        _ => Vec::new(),
    }
}

pub(super) fn set_allowed_external(reader: &mut Reader<'_>, given: Vec<IpNetwork>) {
    let policy = external_ips(&reader.config).word();
    match &mut reader.config.node.external_ips {
        ExternalIpPolicy::AllowList(networks) => *networks = given,
        _ if given.is_empty() => {}
        _ => {
            let message = format!("is for {POLICY}: AllowList, and that is {policy}");
            reader.conflict(ALLOWED, message, &[POLICY]);
        }
    }
}

impl Words for SyncMode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("master", Self::Master),
        ("backup", Self::Backup),
        ("both", Self::Both),
    ];
}

/// Compares fields, and derives the settings that no field holds.
pub(super) fn settle(reader: &mut Reader<'_>) {
    let Resolved { node, settings, .. } = &mut reader.config;
    let listeners = [settings.healthz_bind_address, settings.metrics_bind_address];
    let listeners = listeners.into_iter().flatten();
    node.listener_ports = listeners.map(|address| address.port()).collect();

    let bit = node.masquerade.mark_bit;
    let has_one_bit = node.masquerade.drop_bit == bit;
    let is_too_long = node.min_sync_period > node.sync_period;
    let lacks_networks = node.external_ips == ExternalIpPolicy::AllowList(Vec::new());
    let lacks = |path: &&str| interface(&node.detect_local, path).is_some_and(Name::is_empty);
    let lacks_name = [BRIDGE, PREFIX].into_iter().find(lacks);
    let sync = &node.kernel_settings.sync;
    let lacks_interface = sync.role != SyncMode::None && sync.interface.is_empty();
    let unknown = unknown_authorities(node);
    if lacks_interface {
        let message = "is required with ipvs.sync.role";
        reader.conflict("ipvs.sync.interface", message, &["ipvs.sync"]);
    }
    if is_too_long {
        let message = "must not be longer than ipvs.syncPeriod";
        reader.conflict("ipvs.minSyncPeriod", message, &["ipvs.syncPeriod"]);
    }
    if has_one_bit {
        let message = format!("must differ from iptables.masqueradeBit, which is {bit} too");
        reader.conflict("iptables.dropBit", message, &["iptables.masqueradeBit"]);
    }
    if let Some(path) = lacks_name {
        let mode = detect_local_mode(&reader.config).word();
        let message = format!("is required while detectLocalMode is {mode}");
        reader.conflict(path, message, &[path]);
    }
    for (index, message) in unknown {
        let path = format!("servicePolicies[{index}].policy.healthCheck");
        reader.conflict(path, message, &[AUTHORITIES]);
    }
    if lacks_networks {
        let message = "is required with externalIPPolicy: AllowList";
        reader.conflict(ALLOWED, message, &[ALLOWED]);
    }
    if reader.config.node.node_name.is_empty() {
        let message = "the host has no name, and none is given";
        reader.conflict(HOSTNAME_OVERRIDE, message, &[]);
    }
}

const AUTHORITIES: &str = "healthChecks.authorities";

/// Returns the policies whose health check is verified by an authority that is not configured, by
/// their indexes, with the problems.
fn unknown_authorities(node: &NodeConfig) -> Vec<(usize, String)> {
    (node.service_policies.iter().enumerate())
        .filter_map(|(index, rule)| {
            let check = rule.policy.health_check.as_ref()?;
            let name = check.missing_authority(&node.health_check_authorities)?;
            Some((
                index,
                format!("verify: {AUTHORITIES} does not contain {name}"),
            ))
        })
        .collect()
}
