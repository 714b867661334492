//! Detects the IP families that this kernel and its programs can serve.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ipvs::AddressFamily;
use model::DEVICE;
use model::missing_family::{FamilyGap, MissingFamily};

use super::rules::Rules;
use super::virtual_servers::VirtualServers;

/// Files about IPv6 in the network namespace of the calling thread.
#[derive(Debug)]
pub(super) struct Families {
    /// `/`, or the root of a test.
    root: PathBuf,
}

impl Families {
    pub(super) fn open() -> Self {
        Self { root: "/".into() }
    }

    /// Returns the family that cannot be served. Only certain gaps count: an unreadable file or a
    /// refused permission is not a gap.
    ///
    /// The check costs a few files and one request. If x_tables does not list its table `nat`, it
    /// also costs one process, which makes the kernel load the table.
    pub(super) fn missing(
        &self,
        virtual_servers: &mut VirtualServers,
        rules: &mut Rules,
    ) -> Option<MissingFamily> {
        let ipv6 = (self.ipv6_gap())
            .or_else(|| virtual_servers.lacks_ipv6().then_some(FamilyGap::NoIpvs))
            .or_else(|| rules.gap(AddressFamily::Ipv6));
        FamilyGap::decide([rules.gap(AddressFamily::Ipv4), ipv6])
    }

    /// Returns the gap of IPv6 according to files.
    ///
    /// `if_inet6` exists as soon as the kernel has IPv6 (`if6_proc_net_init`, net/ipv6/addrconf.c,
    /// Linux 6.1). The dummy device copies the setting of `default` when it is created. Writing
    /// `all` sets both.
    pub(super) fn ipv6_gap(&self) -> Option<FamilyGap> {
        let proc = self.root.join("proc");
        let is_there = |path: &str| proc.join(path).try_exists().unwrap_or(true);
        if is_there("net/dev") && !is_there("net/if_inet6") {
            return Some(FamilyGap::NoSockets);
        }
        let device = if is_there(&format!("sys/net/ipv6/conf/{DEVICE}")) {
            DEVICE
        } else {
            "default"
        };
        let mut places = ["all", device].into_iter();
        let disabled = places.find(|place| {
            let path = proc.join(format!("sys/net/ipv6/conf/{place}/disable_ipv6"));
            is_one(&path)
        });
        let name = |place| format!("net.ipv6.conf.{place}.disable_ipv6").into();
        disabled.map(|place| FamilyGap::Disabled(name(place)))
    }
}

fn is_one(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}

/// Returns true if `/proc/net/ip_tables_names` or `ip6_tables_names` lists the table `nat`.
pub(super) fn lists_nat(family: AddressFamily) -> bool {
    let path = match family {
        AddressFamily::Ipv4 => "/proc/net/ip_tables_names",
        AddressFamily::Ipv6 => "/proc/net/ip6_tables_names",
    };
    std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line == "nat"))
}
