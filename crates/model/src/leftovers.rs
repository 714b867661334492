//! Leftovers of a kube-proxy that ran in another mode or was older:
//!
//! - rules of its iptables mode,
//! - tables of its nftables mode,
//! - sets that no proxy uses any more.
//!
//! The following are not leftovers:
//!
//! - the chains that the iptables mode shares with the ipvs mode; they are ours,
//! - the chains of the kubelet: `KUBE-IPTABLES-HINT`, `KUBE-KUBELET-CANARY`, `KUBE-FIREWALL` of
//!   `filter`, and `KUBE-MARK-DROP` unless a leftover jumps to it.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipset::SetName;
use ipvs::AddressFamily;

use crate::finding::{Code, Finding};
use crate::names::{Name, ObjectName};

pub use self::rules::{RuleLeftovers, TableLeftovers};

/// Name of the nf_tables table of kube-proxy's nftables mode, in each family (`kubeProxyTable`,
/// pkg/proxy/nftables/proxier.go, Kubernetes 1.30).
pub const NFT_TABLE: &str = "kube-proxy";

/// Sets of older versions that no proxy uses any more, without the prefix `KUBE-` or `KUBE-6-`: the
/// SCTP node ports from before they were `hash:ip,port`, and a set of the first ipvs mode.
///
/// A match of the prefix alone would be wrong, since kube-router has sets with names `KUBE-SRC-…`
/// and `KUBE-DST-…`.
const OLD_SETS: [&str; 3] = [
    "NODE-PORT-SCTP",
    "NODE-PORT-LOCAL-SCTP",
    "LOAD-BALANCER-MASQ",
];

/// Returns the names of the sets that are leftovers if they exist.
pub fn old_sets() -> impl Iterator<Item = SetName> {
    let names = |prefix: &'static str| {
        (OLD_SETS.iter()).map(move |name| SetName::cut(&format!("{prefix}{name}")))
    };
    names("KUBE-").chain(names("KUBE-6-"))
}

/// Leftovers of kube-proxy's other modes on a node. Prints as a description in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Rules of the iptables mode and of the ipvs mode before Kubernetes 1.26, by family. A family
    /// without leftovers is absent.
    pub rules: BTreeMap<AddressFamily, RuleLeftovers>,
    /// Families with a table of the nftables mode, [`NFT_TABLE`].
    pub nft_tables: BTreeSet<AddressFamily>,
    /// The sets of [`old_sets`] that exist.
    pub sets: BTreeSet<SetName>,
}

impl Leftovers {
    /// Returns true if there are no leftovers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets the leftovers among the rules of `family`. `saved` is the output of `iptables-save` or
    /// `ip6tables-save`.
    pub fn absorb_rules(&mut self, family: AddressFamily, saved: &str) {
        let found = RuleLeftovers::of(saved);
        if found.is_empty() {
            self.rules.remove(&family);
        } else {
            self.rules.insert(family, found);
        }
    }

    /// Returns the finding that reports the leftovers on the Node `node`; `None` if there are none.
    #[must_use]
    pub fn finding(&self, node: &Name) -> Option<Finding> {
        (!self.is_empty()).then(|| Finding {
            code: Code::OtherModesLeftovers,
            kind: "Node",
            object: ObjectName::new("", node.clone()),
            field: "rules".to_owned(),
            problem: format!("kube-proxy left behind {self}"),
            consequence: "the leftovers stay and may affect traffic; to delete them, start \
                          kube-ipvsd with --remove-leftovers"
                .to_owned(),
        })
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rules,
            nft_tables,
            sets,
        } = self;
        let mut parts = Vec::new();
        for (family, rules) in rules {
            parts.push(format!("{rules} in the {family} rules"));
        }
        for family in nft_tables {
            let family = nft_family(*family);
            parts.push(format!("table {family} {NFT_TABLE} of nftables mode"));
        }
        for set in sets {
            parts.push(format!("set {set} of an old version"));
        }
        if parts.is_empty() {
            parts.push("nothing".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

/// Returns the family's name in `nft`.
#[must_use]
pub fn nft_family(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "ip",
        AddressFamily::Ipv6 => "ip6",
    }
}
