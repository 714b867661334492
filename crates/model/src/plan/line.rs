//! Ops in the syntax of the tools that operators know.

use ipnetwork::IpNetwork;
use ipvs::Timeouts;
use ipvs::text::{
    print_real_server, print_service_selector, print_sync_daemon, print_virtual_server,
};

use super::Op;

impl Op {
    /// Returns the op in the syntax of `ipvsadm`, `ip`, `ipset`, `iptables` or `sysctl`, as
    /// `ipvsctl diff` and `/changes` of kube-ipvsd print it. The mark of [`Op::effect`] completes
    /// the line.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::SetSysctl(name, value) => format!("{name} = {value}"),
            Self::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => format!(
                "--set {} {} {}",
                tcp.as_secs(),
                tcp_fin.as_secs(),
                udp.as_secs()
            ),
            Self::StopSyncDaemon(role) => format!("--stop-daemon {role}"),
            Self::StartSyncDaemon(daemon) => print_sync_daemon(daemon),
            Self::CreateSet(set, header) => format!("create {set} {header}"),
            Self::ReplaceSet(set, with) => format!("replace {set} {}", with.header),
            Self::AddEntry(set, entry) => format!("add {set} {entry}"),
            Self::DelEntry(set, entry) => format!("del {set} {entry}"),
            Self::DestroySet(set) => format!("destroy {set}"),
            Self::PatchRules(family, patch) => format!("{family} rules: {patch}"),
            Self::EnsureDevice | Self::DelDevice => format!("device {}", crate::DEVICE),
            Self::AddAddress(address) | Self::DelAddress(address) => {
                IpNetwork::from(*address).to_string()
            }
            Self::AddVirtualServer(server) => print_virtual_server(server),
            Self::SetVirtualServer(server) => edit(&print_virtual_server(server), "-A", "-E"),
            Self::DelVirtualServer(key) => format!("-D {}", print_service_selector(key)),
            Self::AddRealServer(key, real) => print_real_server(key, real),
            Self::SetRealServer(key, real) => edit(&print_real_server(key, real), "-a", "-e"),
            Self::DelRealServer(key, real) => {
                format!("-d {} -r {real}", print_service_selector(key))
            }
        }
    }
}

/// Returns `line` with the command `add` replaced by `edit`.
fn edit(line: &str, add: &str, edit: &str) -> String {
    match line.strip_prefix(add) {
        Some(rest) => format!("{edit}{rest}"),
        None => line.to_owned(),
    }
}
