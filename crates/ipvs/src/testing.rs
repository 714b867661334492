//! Generators of random values for tests.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;

use crate::types::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    SyncDaemon, SyncRole, Tunnel, TunnelFlags, TunnelKind, VirtualServer, VirtualServerKey,
};

fn family() -> impl Strategy<Value = AddressFamily> {
    prop_oneof![Just(AddressFamily::Ipv4), Just(AddressFamily::Ipv6)]
}

/// Returns protocols, including those that IPVS does not balance.
fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        Just(Protocol::Tcp),
        Just(Protocol::Udp),
        Just(Protocol::Sctp),
        any::<u8>().prop_map(Protocol::from),
    ]
}

/// Returns keys of both kinds.
pub(crate) fn key() -> impl Strategy<Value = VirtualServerKey> {
    let address =
        (any::<IpAddr>(), any::<u16>(), protocol()).prop_map(|(address, port, protocol)| {
            VirtualServerKey::Address {
                address,
                port,
                protocol,
            }
        });
    let mark = (family(), any::<NonZeroU32>())
        .prop_map(|(family, mark)| VirtualServerKey::Fwmark { family, mark });
    prop_oneof![address, mark]
}

fn flags() -> impl Strategy<Value = ServiceFlags> {
    // Only named flags, or any flags except the kernel's own.
    prop_oneof![
        (0_u32..0x40).prop_map(|bits| bits & !0x2),
        any::<u32>().prop_map(|bits| bits & !0x2),
    ]
    .prop_map(ServiceFlags::from_bits_retain)
}

/// Returns virtual servers that can be encoded, valid or not.
pub(crate) fn virtual_server() -> impl Strategy<Value = VirtualServer> {
    let scheduler = prop_oneof![Just("rr"), Just("sh"), Just("mh"), Just("a-long-one-of-15")];
    let timeout = prop_oneof![Just(0), 1_u64..100_000];
    let engine = option::of(prop_oneof![Just("sip"), Just("other")]);
    let prefix = prop_oneof![Just(None), (0_u8..=128).prop_map(Some)];
    (key(), scheduler, flags(), timeout, prefix, engine).prop_map(
        |(key, scheduler, flags, timeout, prefix, engine)| {
            let widest = match key.family() {
                AddressFamily::Ipv4 => 32,
                AddressFamily::Ipv6 => 128,
            };
            VirtualServer {
                key,
                scheduler: Scheduler(scheduler.into()),
                flags,
                persistence_timeout: Duration::from_secs(timeout),
                persistence_prefix: prefix.map_or(widest, |prefix| prefix.min(widest)),
                persistence_engine: engine.map(Into::into),
            }
        },
    )
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    let kind = any::<u8>().prop_map(|number| TunnelKind::from(number % 4));
    let tunnel = (kind, any::<u16>(), 0_u16..4).prop_map(|(kind, port, flags)| Tunnel {
        kind,
        port,
        flags: TunnelFlags::from_bits_retain(flags),
    });
    (0_u8..8, tunnel).prop_map(|(number, tunnel)| Forwarding::from_number(number, tunnel))
}

/// Returns real servers that can be encoded, valid or not.
pub(crate) fn real_server() -> impl Strategy<Value = RealServer> {
    let thresholds = prop_oneof![Just((0, 0)), any::<(u32, u32)>()];
    (
        any::<(IpAddr, u16)>(),
        forwarding(),
        any::<u32>(),
        thresholds,
    )
        .prop_map(
            |((address, port), forwarding, weight, (upper_threshold, lower_threshold))| {
                RealServer {
                    key: RealServerKey { address, port },
                    forwarding,
                    weight,
                    upper_threshold,
                    lower_threshold,
                }
            },
        )
}

/// Returns synchronisation daemons.
pub(crate) fn sync_daemon() -> impl Strategy<Value = SyncDaemon> {
    let role = (0_u32..5).prop_map(SyncRole::from);
    let optional = any::<(Option<u16>, Option<IpAddr>, Option<u16>, Option<u8>)>();
    (role, "[a-z][a-z0-9.-]{0,14}", any::<u32>(), optional).prop_map(
        |(role, interface, sync_id, (maximum_length, group, port, time_to_live))| SyncDaemon {
            role,
            interface: interface.into(),
            sync_id,
            maximum_length,
            group,
            port,
            time_to_live,
        },
    )
}
