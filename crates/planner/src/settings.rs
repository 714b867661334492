//! Kernel settings that a node must have (section 9 of kube-proxy's behaviour).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::config::NodeConfig;
use model::names::Name;
use model::snapshot::KernelVersion;

/// The settings below `/proc/sys` that do not depend on the machine's size.
pub(crate) fn sysctls(config: &NodeConfig, kernel: Option<KernelVersion>) -> BTreeMap<Name, Name> {
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
    (always.into_iter())
        .chain(strict_arp.into_iter().flatten())
        .chain(kernel.and_then(conn_reuse_mode))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
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
