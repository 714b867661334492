//! Kinds of differences between the desired and the live tables.

use ipset::SetName;
use ipvs::AddressFamily;
use model::sets::SetKind;
use model::{DEVICE, Op, Reason};

use super::super::process::Scope;

/// A kind of difference, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A virtual server is missing.
    MissingServer,
    /// A virtual server has other settings.
    OtherServer,
    /// An address is missing on the device.
    MissingAddress,
    /// A real server is missing.
    MissingRealServer,
    /// A real server of an endpoint has weight 0.
    ZeroWeight,
    /// A real server has other settings.
    OtherRealServer,
    /// A real server is not an endpoint and gets connections.
    ExtraRealServer,
    /// A set is missing or has another type.
    OtherSet(SetKind),
    /// An entry of a set is missing.
    MissingEntry(SetKind),
    /// The timeouts of IPVS differ from the configured ones.
    Timeouts,
    /// A configured synchronisation daemon does not run, or has other settings.
    SyncDaemon,
    /// A virtual server belongs to no Service.
    ExtraServer,
    /// An address of the device belongs to no Service.
    ExtraAddress,
    /// An entry of a set belongs to no Service.
    ExtraEntry(SetKind),
}

impl Kind {
    /// Returns the kind of a planned change; `None` if another check reports it.
    pub(super) fn of(op: &Op, reason: &Reason) -> Option<Self> {
        Some(match op {
            Op::AddVirtualServer(_) => Self::MissingServer,
            Op::SetVirtualServer(_) => Self::OtherServer,
            Op::DelVirtualServer(_) => Self::ExtraServer,
            Op::AddRealServer(..) => Self::MissingRealServer,
            Op::SetRealServer(_, real) if real.weight == 0 => Self::ExtraRealServer,
            Op::SetRealServer(..) if was_weight_zero(reason) => Self::ZeroWeight,
            Op::SetRealServer(..) => Self::OtherRealServer,
            // The check `drains` reports real servers of weight 0.
            Op::DelRealServer(..) if *reason == Reason::Drained => return None,
            Op::DelRealServer(..) => Self::ExtraRealServer,
            Op::AddAddress(_) => Self::MissingAddress,
            Op::DelAddress(_) => Self::ExtraAddress,
            Op::CreateSet(name, _) | Op::ReplaceSet(name, _) => Self::OtherSet(kind_of(name)?),
            Op::AddEntry(name, _) => Self::MissingEntry(kind_of(name)?),
            Op::DelEntry(name, _) | Op::DestroySet(name) => Self::ExtraEntry(kind_of(name)?),
            Op::SetTimeouts(_) => Self::Timeouts,
            Op::StartSyncDaemon(_) => Self::SyncDaemon,
            // The start that follows is reported.
            Op::StopSyncDaemon(_) => return None,
            Op::SetSysctl(..) | Op::PatchRules(..) | Op::EnsureDevice | Op::DelDevice => {
                return None;
            }
        })
    }

    /// Returns the name of the check.
    pub(super) fn check(self) -> &'static str {
        match self {
            Self::MissingServer | Self::OtherServer | Self::ExtraServer => "virtual-servers",
            Self::MissingRealServer
            | Self::ZeroWeight
            | Self::OtherRealServer
            | Self::ExtraRealServer => "real-servers",
            Self::MissingAddress | Self::ExtraAddress => "addresses",
            Self::OtherSet(_) | Self::MissingEntry(_) | Self::ExtraEntry(_) => "set-entries",
            Self::Timeouts => "timeouts",
            Self::SyncDaemon => "sync-daemons",
        }
    }

    /// Returns true for entries without a Service that harm no Service, and for timeouts.
    pub(super) fn is_excess(self) -> bool {
        matches!(
            self,
            Self::ExtraServer | Self::ExtraAddress | Self::ExtraEntry(_) | Self::Timeouts
        )
    }

    /// Returns the part of the tables that kube-ipvsd compares to find the difference.
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::OtherServer
            | Self::MissingRealServer
            | Self::ZeroWeight
            | Self::OtherRealServer
            | Self::ExtraRealServer => Scope::Slices,
            _ => Scope::Audit,
        }
    }

    /// Describes `count` differences.
    pub(super) fn found(self, count: usize) -> String {
        let many = |one: &str, several: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {several}"),
        };
        match self {
            Self::MissingServer => many("virtual server is missing", "virtual servers are missing"),
            Self::OtherServer => many(
                "virtual server has other settings than its Service",
                "virtual servers have other settings than their Services",
            ),
            Self::ExtraServer => many(
                "virtual server belongs to no Service",
                "virtual servers belong to no Service",
            ),
            Self::MissingRealServer => many("real server is missing", "real servers are missing"),
            Self::ZeroWeight => many(
                "real server of an endpoint has weight 0",
                "real servers of endpoints have weight 0",
            ),
            Self::OtherRealServer => many(
                "real server has other settings than its endpoint",
                "real servers have other settings than their endpoints",
            ),
            Self::ExtraRealServer => many(
                "real server is not an endpoint of its Service",
                "real servers are not endpoints of their Services",
            ),
            Self::MissingAddress => format!(
                "{} on {DEVICE}",
                many(
                    "Service address is missing",
                    "Service addresses are missing"
                )
            ),
            Self::ExtraAddress => format!(
                "{} on {DEVICE} belonging to no Service",
                many("address", "addresses")
            ),
            Self::OtherSet(kind) => {
                format!(
                    "set {} is missing, too small or of another type",
                    base(kind)
                )
            }
            Self::MissingEntry(kind) => {
                let entries = many("entry is missing", "entries are missing");
                format!("{entries} in set {}", base(kind))
            }
            Self::ExtraEntry(kind) => {
                let entries = many("entry", "entries");
                format!("{entries} of set {} belonging to no Service", base(kind))
            }
            Self::Timeouts => "the idle timeouts of IPVS are not the configured ones".to_owned(),
            Self::SyncDaemon => many(
                "synchronisation daemon of ipvs.sync does not run as configured",
                "synchronisation daemons of ipvs.sync do not run as configured",
            ),
        }
    }

    /// Returns the effect on the users of the Services.
    pub(super) fn users_see(self) -> &'static str {
        match self {
            Self::MissingServer => "connections to these Services are refused or get no answer",
            Self::OtherServer => {
                "connections are distributed in another way than configured: scheduler or session affinity"
            }
            Self::ExtraServer => "connections to a deleted Service are still accepted",
            Self::MissingRealServer => {
                "these endpoints get no new connections; a Service without any endpoint refuses them"
            }
            Self::ZeroWeight => {
                "these endpoints get no new connections, only their open ones continue; a Service without another \
                 endpoint refuses new ones"
            }
            Self::OtherRealServer => {
                "these endpoints get another share of the connections, or by another path, than configured"
            }
            Self::ExtraRealServer => {
                "a part of the connections to these Services goes to an endpoint that is gone or foreign: timeouts, \
                 refusals or wrong answers"
            }
            Self::MissingAddress => {
                "this node does not accept packets to these addresses: connections from its pods and from outside get no \
                 answer"
            }
            Self::ExtraAddress => {
                "connections of this node to such an address reach programs of the node instead of their destination"
            }
            Self::OtherSet(kind) | Self::MissingEntry(kind) => without_entry(kind),
            Self::ExtraEntry(_) => {
                "packets to these addresses and ports are masqueraded or accepted without a Service"
            }
            Self::SyncDaemon => {
                "connections of a load-balancer address break when the address moves to another node"
            }
            Self::Timeouts => {
                "idle connections are forgotten earlier or later than configured; an idle connection that is forgotten \
                 breaks at its next packet"
            }
        }
    }
}

fn was_weight_zero(reason: &Reason) -> bool {
    match reason {
        Reason::Differs(differences) => (differences.iter())
            .any(|difference| difference.field == "weight" && difference.live == "0"),
        _ => false,
    }
}

/// Returns the kind of the set `name` of either family.
fn kind_of(name: &SetName) -> Option<SetKind> {
    let mut kinds = SetKind::ALL.into_iter();
    kinds.find(|kind| {
        AddressFamily::ALL
            .iter()
            .any(|family| kind.name(*family) == *name)
    })
}

/// Returns the name of the set of IPv4, which stands for both families.
fn base(kind: SetKind) -> String {
    kind.name(AddressFamily::Ipv4).to_string()
}

/// Returns the effect of a missing entry.
fn without_entry(kind: SetKind) -> &'static str {
    match kind {
        SetKind::ClusterIp
        | SetKind::ExternalIp
        | SetKind::ExternalIpLocal
        | SetKind::LoadBalancer => {
            "connections to these Services are refused (chain KUBE-IPVS-FILTER), or their source is not masqueraded, so \
             that answers are lost"
        }
        SetKind::LoopBack => "a pod that reaches itself through its Service gets no answer",
        SetKind::LoadBalancerLocal => {
            "the source address is masqueraded although externalTrafficPolicy is Local: endpoints see the node instead of \
             the client"
        }
        SetKind::LoadBalancerFw => {
            "loadBalancerSourceRanges is not enforced: clients outside of the ranges are admitted"
        }
        SetKind::LoadBalancerSourceIp | SetKind::LoadBalancerSourceCidr => {
            "clients inside of loadBalancerSourceRanges are dropped"
        }
        SetKind::NodePortTcp | SetKind::NodePortUdp | SetKind::NodePortSctp => {
            "the source of connections to these node ports is not masqueraded: answers of endpoints on other nodes are lost"
        }
        SetKind::NodePortLocalTcp | SetKind::NodePortLocalUdp | SetKind::NodePortLocalSctp => {
            "the source of connections to these node ports is masqueraded although externalTrafficPolicy is Local"
        }
        SetKind::HealthCheckNodePort => {
            "health checks of load balancers may be refused, which then send this node no connections"
        }
        SetKind::IpvsIps => {
            "ports of these Service addresses without a Service reach programs of the node"
        }
        SetKind::NoLocalEndpoint => {
            "connections of this node to these Services, which have no endpoint on it, get no answer"
        }
    }
}
