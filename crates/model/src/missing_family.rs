//! An address family that a node cannot serve.

use std::fmt;

use ipvs::AddressFamily;

use crate::finding::{Code, Finding};
use crate::names::{Name, ObjectName};

/// An address family that the node cannot serve, with the reason. Prints the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFamily {
    /// The family.
    pub family: AddressFamily,
    /// The reason.
    pub gap: FamilyGap,
}

/// Prerequisite of a family that the node lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilyGap {
    /// The setting of this name, `net.ipv6.conf.all.disable_ipv6`, is 1.
    Disabled(Name),
    /// The kernel has no sockets of the family, for example because of `ipv6.disable=1` on its
    /// command line.
    NoSockets,
    /// The kernel's IPVS was built without the family (`CONFIG_IP_VS_IPV6`).
    NoIpvs,
    /// The packet filter has no table `nat` for the family.
    NoNat,
    /// No program is installed that changes the packet filter of the family.
    NoProgram,
    /// A file that describes the node declares the family as missing.
    Described,
}

impl FamilyGap {
    /// Returns the name of the gap in files: `no-nat`. The name of a setting is not part of it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disabled(_) => "disabled",
            Self::NoSockets => "no-sockets",
            Self::NoIpvs => "no-ipvs",
            Self::NoNat => "no-nat",
            Self::NoProgram => "no-program",
            Self::Described => "described",
        }
    }

    /// Returns the gap of this [name](Self::name). Only `disabled` has a setting.
    #[must_use]
    pub fn named(name: &str, setting: Option<&str>) -> Option<Self> {
        Some(match (name, setting) {
            ("disabled", Some(setting)) => Self::Disabled(setting.into()),
            ("no-sockets", None) => Self::NoSockets,
            ("no-ipvs", None) => Self::NoIpvs,
            ("no-nat", None) => Self::NoNat,
            ("no-program", None) => Self::NoProgram,
            ("described", None) => Self::Described,
            _ => return None,
        })
    }

    /// Returns the setting that disables the family.
    #[must_use]
    pub fn setting(&self) -> Option<&Name> {
        match self {
            Self::Disabled(setting) => Some(setting),
            _ => None,
        }
    }

    /// Returns the missing family, given the gap found in each family, IPv4 first. Returns `None`
    /// if no family has a gap, or if both have one.
    #[must_use]
    pub fn decide(gaps: [Option<Self>; 2]) -> Option<MissingFamily> {
        let (family, gap) = match gaps {
            [Some(gap), None] => (AddressFamily::Ipv4, gap),
            [None, Some(gap)] => (AddressFamily::Ipv6, gap),
            [None, None] | [Some(_), Some(_)] => return None,
        };
        Some(MissingFamily { family, gap })
    }
}

impl MissingFamily {
    /// Returns the operator's next step.
    #[must_use]
    pub fn advice(&self) -> String {
        let six = match self.family {
            AddressFamily::Ipv4 => "",
            AddressFamily::Ipv6 => "6",
        };
        match &self.gap {
            FamilyGap::Disabled(setting) => format!("set {setting} = 0"),
            FamilyGap::NoSockets => "start the node without ipv6.disable=1".to_owned(),
            FamilyGap::NoIpvs => "use a kernel built with CONFIG_IP_VS_IPV6".to_owned(),
            FamilyGap::NoNat => {
                format!("load its module (modprobe ip{six}table_nat, or nft_chain_nat)")
            }
            FamilyGap::NoProgram => format!("install ip{six}tables-save and ip{six}tables-restore"),
            FamilyGap::Described => "correct the description of the node".to_owned(),
        }
    }

    /// Returns the finding that reports the missing family of the Node `node`.
    #[must_use]
    pub fn finding(&self, node: &Name) -> Finding {
        let served = match self.family {
            AddressFamily::Ipv4 => AddressFamily::Ipv6,
            AddressFamily::Ipv6 => AddressFamily::Ipv4,
        };
        Finding {
            code: Code::MissingFamily,
            kind: "Node",
            object: ObjectName::new("", node.clone()),
            field: "families".to_owned(),
            problem: format!("this node cannot serve {}: {self}", self.family),
            consequence: format!(
                "Services are served in {served} alone; where {} is wanted, {}",
                self.family,
                self.advice()
            ),
        }
    }
}

/// Prints the reason.
impl fmt::Display for MissingFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.family;
        match &self.gap {
            FamilyGap::Disabled(setting) => write!(f, "{setting} is 1"),
            FamilyGap::NoSockets => write!(f, "the kernel has no {family}"),
            FamilyGap::NoIpvs => write!(f, "IPVS of this kernel has no {family}"),
            FamilyGap::NoNat => write!(f, "the packet filter has no table nat for {family}"),
            FamilyGap::NoProgram => write!(f, "there is no iptables program for {family}"),
            FamilyGap::Described => f.write_str("the description of the node says so"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_family_is_missing_unless_both_are() {
        let gap = || Some(FamilyGap::NoNat);
        let missing = |family| {
            let gap = FamilyGap::NoNat;
            Some(MissingFamily { family, gap })
        };
        for (gaps, expected) in [
            ([None, None], None),
            ([gap(), None], missing(AddressFamily::Ipv4)),
            ([None, gap()], missing(AddressFamily::Ipv6)),
            ([gap(), gap()], None),
        ] {
            assert_eq!(FamilyGap::decide(gaps), expected);
        }
    }
}
