//! The families of addresses that this kernel and its programs can serve.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ipvs::AddressFamily;
use model::DEVICE;
use model::missing_family::{FamilyGap, MissingFamily};

use super::rules::Rules;
use super::virtual_servers::VirtualServers;

/// Files that tell about IPv6 in the network namespace of the thread that calls.
#[derive(Debug)]
pub(super) struct Families {
    /// `/`, where it is not a test's.
    root: PathBuf,
}

impl Families {
    pub(super) fn open() -> Self {
        Self { root: "/".into() }
    }

    /// Returns the family that cannot be served. A gap counts where it is certain: what cannot be read, or is refused for lack of
    /// permission, is no gap.
    ///
    /// Costs a few files and one request. Where the packet filter of x_tables does not list its table `nat`, also one process, which
    /// makes the kernel load the table.
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

    /// The gap of IPv6 that files tell. `if_inet6` is there as soon as the kernel has IPv6 (`if6_proc_net_init`, net/ipv6/addrconf.c,
    /// Linux 6.1). The dummy device takes its own setting from `default` when it is created, and writing `all` sets both.
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

/// Returns true if the list of tables in `/proc/net/ip_tables_names` or `ip6_tables_names` has `nat`.
pub(super) fn lists_nat(family: AddressFamily) -> bool {
    let path = match family {
        AddressFamily::Ipv4 => "/proc/net/ip_tables_names",
        AddressFamily::Ipv6 => "/proc/net/ip6_tables_names",
    };
    std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line == "nat"))
}
