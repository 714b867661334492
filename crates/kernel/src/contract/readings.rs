//! Cases about readings.

use std::collections::BTreeMap;
use std::time::Duration;

use ipvs::Timeouts;
use model::{NodeTables, Op, Scope, Selection};

use super::ContractKernel;
use super::builders::{VIP4, VIP6, do_all, read, read_scope, real, server, tcp};
use super::named;

named![
    a_fresh_kernel_has_nothing,
    a_fresh_kernel_has_the_timeouts_of_linux,
    reading_twice_gives_the_same,
    only_the_virtual_servers_asked_for_are_read,
    a_list_without_real_servers_has_every_virtual_server,
    addresses_are_read_only_where_asked_for,
    a_full_read_has_every_real_server_of_every_virtual_server,
];

fn a_fresh_kernel_has_nothing(kernel: &mut dyn ContractKernel) {
    let snapshot = read(kernel);
    assert!(!snapshot.device);
    assert!(snapshot.connections.is_empty());
    // A fresh kernel has settings and timeouts, which are ignored here.
    let tables = NodeTables {
        sysctls: BTreeMap::new(),
        timeouts: Timeouts::default(),
        ..snapshot.tables
    };
    assert_eq!(tables, NodeTables::default());
}

fn a_fresh_kernel_has_the_timeouts_of_linux(kernel: &mut dyn ContractKernel) {
    let wanted = Timeouts {
        tcp: Duration::from_secs(900),
        tcp_fin: Duration::from_secs(120),
        udp: Duration::from_secs(300),
    };
    assert_eq!(read(kernel).tables.timeouts, wanted);
}

fn reading_twice_gives_the_same(kernel: &mut dyn ContractKernel) {
    fill(kernel, 20);
    assert_eq!(read(kernel), read(kernel));
}

fn only_the_virtual_servers_asked_for_are_read(kernel: &mut dyn ContractKernel) {
    fill(kernel, 5);
    let everything = read(kernel).tables.virtual_servers;
    let scope = Scope {
        virtual_servers: Selection::Only([tcp(VIP4, 2), tcp(VIP4, 4), tcp(VIP6, 4)].into()),
        ..Scope::NOTHING
    };
    let snapshot = read_scope(kernel, &scope);
    let tables = snapshot.tables.virtual_servers;
    let keys: Vec<_> = tables.keys().copied().collect();
    assert_eq!(keys, [tcp(VIP4, 2), tcp(VIP4, 4)], "the third is missing");
    for (key, entry) in tables {
        assert_eq!(entry, everything[&key]);
    }
    let tables = read_scope(kernel, &Scope::NOTHING).tables;
    assert!(tables.virtual_servers.is_empty());
}

fn a_list_without_real_servers_has_every_virtual_server(kernel: &mut dyn ContractKernel) {
    fill(kernel, 150);
    let everything = read(kernel).tables.virtual_servers;
    let scope = Scope {
        virtual_servers: Selection::WithoutRealServers,
        ..Scope::NOTHING
    };
    let list = read_scope(kernel, &scope).tables.virtual_servers;
    assert_eq!(list.len(), 150);
    for (key, entry) in list {
        assert_eq!(entry.server, everything[&key].server);
        assert!(entry.real_servers.is_empty(), "{key}");
    }
}

fn addresses_are_read_only_where_asked_for(kernel: &mut dyn ContractKernel) {
    fill(kernel, 1);
    do_all(kernel, [Op::EnsureDevice, Op::AddAddress(VIP4)]);
    let scope = Scope {
        virtual_servers: Selection::All,
        ..Scope::NOTHING
    };
    let snapshot = read_scope(kernel, &scope);
    assert!(!snapshot.device);
    assert!(snapshot.tables.addresses.is_empty());
    assert!(snapshot.node.interfaces.is_empty());
    assert_eq!(snapshot.tables.virtual_servers.len(), 1);

    let scope = Scope {
        addresses: true,
        ..Scope::NOTHING
    };
    let snapshot = read_scope(kernel, &scope);
    assert!(snapshot.device);
    assert_eq!(snapshot.tables.addresses, [VIP4].into());
    assert!(snapshot.tables.virtual_servers.is_empty());
}

fn a_full_read_has_every_real_server_of_every_virtual_server(kernel: &mut dyn ContractKernel) {
    fill(kernel, 150);
    let tables = read(kernel).tables.virtual_servers;
    assert_eq!(tables.len(), 150);
    for port in 1..=150 {
        let entry = &tables[&tcp(VIP4, port)];
        assert_eq!(entry.server, server(tcp(VIP4, port), "rr"));
        let reals: Vec<_> = entry.real_servers.values().copied().collect();
        assert_eq!(reals, reals_of(port));
    }
}

/// Adds virtual servers at the ports from 1 to `count`, with 0 to 9 real servers each.
fn fill(kernel: &mut dyn ContractKernel, count: u16) {
    let ops = (1..=count).flat_map(|port| {
        let key = tcp(VIP4, port);
        let reals = reals_of(port).into_iter();
        let reals = reals.map(move |real| Op::AddRealServer(key, real));
        std::iter::once(Op::AddVirtualServer(server(key, "rr"))).chain(reals)
    });
    do_all(kernel, ops);
}

fn reals_of(port: u16) -> Vec<ipvs::RealServer> {
    let count = u8::try_from(port % 10).unwrap_or_default();
    (1..=count)
        .map(|number| real(number, u32::from(number)))
        .collect()
}
