//! Random live tables and random faults.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipvs::{AddressFamily, RealServer, Scheduler, VirtualServerKey};
use kernel::OpErrorKind;
use kernel::memory::{Fault, FaultRule, Part, TornReading};
use model::plan::{Op, OpEffect};
use model::tables::NodeTables;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::cluster::{cluster, objects, written};

/// Generates the tables of some cluster with changes by hand: weights, schedulers, missing real
/// servers, missing addresses (which make the virtual servers there foreign).
pub fn tables() -> impl Strategy<Value = NodeTables> {
    (objects(), vec((any::<Index>(), 0_u8..4), 0..6)).prop_map(|(objects, changes)| {
        let mut tables = written(&cluster(objects)).tables;
        for (index, what) in changes {
            change_by_hand(&mut tables, index, what);
        }
        tables
    })
}

fn change_by_hand(tables: &mut NodeTables, index: Index, what: u8) {
    let keys: Vec<VirtualServerKey> = tables.virtual_servers.keys().copied().collect();
    if keys.is_empty() {
        return;
    }
    let key = *index.get(&keys);
    let Some(entry) = tables.virtual_servers.get_mut(&key).map(Arc::make_mut) else {
        return;
    };
    match what {
        0 => {
            let first = entry.real_servers.keys().next().copied();
            first.and_then(|key| entry.real_servers.remove(&key));
        }
        1 => {
            let real_servers = entry.real_servers.values();
            entry.real_servers = real_servers
                .map(|real| RealServer { weight: 0, ..*real })
                .collect();
        }
        2 => entry.server.scheduler = ipvs::Scheduler("wlc".into()),
        _ => {
            if let VirtualServerKey::Address { address, .. } = key {
                tables.addresses.remove(&address);
            }
        }
    }
}

/// Generates changes that another program may make to existing entries.
pub fn by_hand() -> impl Strategy<Value = (Index, u8)> {
    (any::<Index>(), 0_u8..4)
}

/// Returns the op of a change by hand to `tables`.
#[must_use]
pub fn meddle(tables: &NodeTables, (index, what): (Index, u8)) -> Option<Op> {
    let keys: Vec<_> = tables.virtual_servers.iter().collect();
    if keys.is_empty() {
        return None;
    }
    let (key, entry) = *index.get(&keys);
    let real = entry.real_servers.values().next();
    match (what, key) {
        (0, _) => Some(Op::DelVirtualServer(*key)),
        (1, VirtualServerKey::Address { address, .. }) => Some(Op::DelAddress(*address)),
        (2, _) => real.map(|real| Op::DelRealServer(*key, real.key)),
        _ => real.map(|real| {
            let mut real = *real;
            real.weight = 0;
            Op::SetRealServer(*key, real)
        }),
    }
}

/// Generates faults, each with the number of changes before it.
pub fn faults() -> impl Strategy<Value = Vec<(u64, Fault)>> {
    let kinds = vec![
        Fault::Refuse(OpErrorKind::Invalid),
        Fault::Refuse(OpErrorKind::NotPermitted),
        Fault::LoseRequest,
        Fault::LoseAnswer,
    ];
    vec((0_u64..40, select(kinds)), 0..12)
}

/// Generates lasting faults of every kind and for every part of the tables.
pub fn lasting() -> impl Strategy<Value = FaultRule> {
    let parts = || {
        select(vec![
            Part::Everything,
            Part::Settings,
            Part::Sets,
            Part::Rules(AddressFamily::Ipv4),
            Part::Rules(AddressFamily::Ipv6),
            Part::Device,
            Part::Addresses,
            Part::VirtualServers,
            Part::Scheduler(Scheduler("rr".into())),
            Part::RealServers,
        ])
    };
    let effects = vec![None, Some(OpEffect::Add), Some(OpEffect::Delete)];
    let outcomes = vec![
        Fault::Refuse(OpErrorKind::NotPermitted),
        Fault::LoseRequest,
        Fault::LoseAnswer,
    ];
    prop_oneof![
        2 => parts().prop_map(FaultRule::Unreadable),
        1 => Just(FaultRule::Torn(TornReading { flagged: true, ..TornReading::default() })),
        5 => (parts(), select(effects), select(outcomes))
            .prop_map(|(part, effect, fault)| FaultRule::Ops { part, effect, fault }),
    ]
}

/// Returns a reading of `tables` that misses some entries.
#[must_use]
pub fn tear(tables: &NodeTables, index: Index) -> TornReading {
    let keys: Vec<_> = tables.virtual_servers.keys().copied().collect();
    let virtual_servers = if keys.is_empty() {
        BTreeSet::new()
    } else {
        BTreeSet::from([*index.get(&keys)])
    };
    TornReading {
        virtual_servers,
        real_servers: BTreeSet::new(),
        flagged: true,
    }
}
