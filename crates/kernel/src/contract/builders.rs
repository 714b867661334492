//! Helpers that build the ops and readings of the cases, and those of other tests of kernels.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    VirtualServer, VirtualServerKey,
};
use model::{Op, PlannedOp, Reason, Scope, Snapshot, Stage};

use super::ContractKernel;
use model::kernel::OpErrorKind;
use model::kernel::OpOutcome;

pub(super) const VIP4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));
pub(super) const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x10));

/// Returns the key of a virtual server of TCP.
pub fn tcp(address: impl Into<IpAddr>, port: u16) -> VirtualServerKey {
    key(address, port, Protocol::Tcp)
}

/// Returns the key of a virtual server.
pub fn key(address: impl Into<IpAddr>, port: u16, protocol: Protocol) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: address.into(),
        port,
        protocol,
    }
}

/// Returns a virtual server with this scheduler and nothing else.
#[must_use]
pub fn server(key: VirtualServerKey, scheduler: &str) -> VirtualServer {
    let family = match key {
        VirtualServerKey::Address { address, .. } => AddressFamily::of(address),
        VirtualServerKey::Fwmark { family, .. } => family,
    };
    VirtualServer {
        key,
        scheduler: Scheduler(scheduler.into()),
        flags: ServiceFlags::empty(),
        persistence_timeout: Duration::ZERO,
        persistence_prefix: match family {
            AddressFamily::Ipv4 => 32,
            AddressFamily::Ipv6 => 128,
        },
        persistence_engine: None,
    }
}

pub(super) fn real(number: u8, weight: u32) -> RealServer {
    real_at([10, 1, 0, number], weight)
}

/// Returns a real server at port 8080 that is reached by masquerading.
pub fn real_at(address: impl Into<IpAddr>, weight: u32) -> RealServer {
    RealServer {
        key: RealServerKey {
            address: address.into(),
            port: 8080,
        },
        forwarding: Forwarding::Masquerade,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

/// Returns `ops` as one stage.
pub fn stage(ops: impl IntoIterator<Item = Op>) -> Stage {
    let ops = ops.into_iter().map(|op| PlannedOp {
        op,
        owner: None,
        reason: Reason::Missing,
    });
    Stage { ops: ops.collect() }
}

/// Applies `ops` as one stage. Panics unless all of them succeed.
pub(super) fn do_all(kernel: &mut dyn ContractKernel, ops: impl IntoIterator<Item = Op>) {
    for outcome in outcomes(kernel, ops) {
        if let Err(error) = outcome {
            panic!("{}", model::chain(&error));
        }
    }
}

/// Applies `ops` as one stage.
pub(super) fn outcomes(
    kernel: &mut dyn ContractKernel,
    ops: impl IntoIterator<Item = Op>,
) -> Vec<OpOutcome> {
    let stage = stage(ops);
    let outcomes = kernel.apply(&stage);
    assert_eq!(outcomes.len(), stage.ops.len(), "one outcome for each op");
    outcomes
}

/// Applies `op` alone and returns the reason of its failure.
pub(super) fn refused(kernel: &mut dyn ContractKernel, op: Op) -> OpErrorKind {
    let stage = stage([op]);
    let op = &stage.ops[0].op;
    let outcomes = kernel.apply(&stage);
    let [outcome] = outcomes.as_slice() else {
        panic!("{op}: one outcome for each op, not {}", outcomes.len());
    };
    match outcome {
        Ok(()) => panic!("{op}: succeeded, but must be refused"),
        Err(error) => {
            assert_eq!(error.op(), op, "the error names the op");
            error.kind().clone()
        }
    }
}

/// Reads everything except the rules, which need one process per family.
pub(super) fn read(kernel: &mut dyn ContractKernel) -> Snapshot {
    read_scope(
        kernel,
        &Scope {
            rules: false,
            ..Scope::EVERYTHING
        },
    )
}

/// Returns a reading that is not torn.
///
/// Other cases run in other namespaces of the same kernel and may disturb a reading, since a list
/// also counts their virtual servers (`ip_vs_genl_dump_services`, net/netfilter/ipvs/ip_vs_ctl.c,
/// Linux 6.1).
pub(super) fn read_scope(kernel: &mut dyn ContractKernel, scope: &Scope) -> Snapshot {
    for _ in 0..20 {
        match kernel.observe(scope) {
            Ok(snapshot) if snapshot.torn => {}
            Ok(snapshot) => return snapshot,
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
    panic!("twenty readings in a row are torn, though no program writes in this namespace");
}

/// Reads the virtual server `key` with its real servers.
pub(super) fn entry(
    kernel: &mut dyn ContractKernel,
    key: VirtualServerKey,
) -> model::VirtualServerEntry {
    let snapshot = read(kernel);
    match snapshot.tables.virtual_servers.get(&key) {
        Some(entry) => (**entry).clone(),
        None => panic!("{key} is not in the table"),
    }
}
