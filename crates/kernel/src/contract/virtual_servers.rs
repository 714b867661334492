//! Cases about virtual servers.

use std::num::NonZeroU32;
use std::time::Duration;

use ipvs::{AddressFamily, Protocol, Scheduler, ServiceFlags, VirtualServerKey};
use model::Op;

use super::ContractKernel;
use super::builders::{VIP4, VIP6, do_all, entry, key, read, real, refused, server, tcp};
use super::named;
use model::kernel::OpErrorKind;

named![
    virtual_servers_of_every_kind_read_back_as_added,
    settings_of_a_virtual_server_read_back_as_added,
    every_scheduler_is_accepted,
    adding_a_virtual_server_that_exists_is_refused,
    changing_a_missing_virtual_server_is_refused,
    deleting_a_missing_virtual_server_is_refused,
    changing_a_virtual_server_keeps_its_real_servers,
    deleting_a_virtual_server_deletes_its_real_servers,
    adding_a_virtual_server_with_an_unknown_scheduler_names_it,
    changing_a_virtual_server_to_an_unknown_scheduler_names_it_and_changes_nothing,
    a_missing_virtual_server_is_refused_before_its_scheduler_is_looked_up,
    a_scheduler_name_too_long_for_the_kernel_is_refused,
    a_virtual_server_of_ipv6_needs_a_persistence_prefix,
    one_port_has_a_virtual_server_for_each_protocol,
];

fn virtual_servers_of_every_kind_read_back_as_added(kernel: &mut dyn ContractKernel) {
    let mark = |family| VirtualServerKey::Fwmark {
        family,
        mark: NonZeroU32::MIN.saturating_add(41),
    };
    let keys = [
        key(VIP4, 80, Protocol::Tcp),
        key(VIP4, 53, Protocol::Udp),
        key(VIP4, 5000, Protocol::Sctp),
        key(VIP6, 80, Protocol::Tcp),
        key(VIP6, 53, Protocol::Udp),
        key(VIP6, 65535, Protocol::Sctp),
        mark(AddressFamily::Ipv4),
        mark(AddressFamily::Ipv6),
    ];
    let servers = keys.map(|key| server(key, "rr"));
    do_all(kernel, servers.clone().map(Op::AddVirtualServer));
    let tables = read(kernel).tables.virtual_servers;
    assert_eq!(tables.len(), servers.len());
    for server in servers {
        let entry = &tables[&server.key];
        assert_eq!(entry.server, server);
        assert!(entry.real_servers.is_empty());
    }
}

fn settings_of_a_virtual_server_read_back_as_added(kernel: &mut dyn ContractKernel) {
    let mut persistent = server(tcp(VIP4, 443), "wrr");
    persistent.flags = ServiceFlags::PERSISTENT;
    persistent.persistence_timeout = Duration::from_secs(10800);
    persistent.persistence_prefix = 24;
    let mut hashed = server(tcp(VIP6, 443), "sh");
    hashed.flags = ServiceFlags::PERSISTENT | ServiceFlags::SCHED_1 | ServiceFlags::SCHED_2;
    hashed.persistence_timeout = Duration::from_secs(1);
    hashed.persistence_prefix = 64;
    let mut one_packet = server(key(VIP4, 53, Protocol::Udp), "rr");
    one_packet.flags = ServiceFlags::ONE_PACKET;
    for server in [persistent, hashed, one_packet] {
        do_all(kernel, [Op::AddVirtualServer(server.clone())]);
        assert_eq!(entry(kernel, server.key).server, server);
        let mut changed = server.clone();
        changed.scheduler = Scheduler("mh".into());
        changed.flags = ServiceFlags::SCHED_2;
        changed.persistence_timeout = Duration::ZERO;
        do_all(kernel, [Op::SetVirtualServer(changed.clone())]);
        assert_eq!(entry(kernel, server.key).server, changed);
    }
}

fn every_scheduler_is_accepted(kernel: &mut dyn ContractKernel) {
    let names = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "fo", "ovf", "mh",
    ];
    for (port, name) in (1..).zip(names) {
        let server = server(tcp(VIP4, port), name);
        do_all(kernel, [Op::AddVirtualServer(server.clone())]);
        assert_eq!(entry(kernel, server.key).server, server);
    }
}

fn adding_a_virtual_server_that_exists_is_refused(kernel: &mut dyn ContractKernel) {
    let first = server(tcp(VIP4, 80), "rr");
    let second = server(tcp(VIP4, 80), "sh");
    do_all(kernel, [Op::AddVirtualServer(first.clone())]);
    let kind = refused(kernel, Op::AddVirtualServer(second));
    assert_eq!(kind, OpErrorKind::AlreadyExists);
    assert_eq!(entry(kernel, first.key).server, first);
}

fn changing_a_missing_virtual_server_is_refused(kernel: &mut dyn ContractKernel) {
    let kind = refused(kernel, Op::SetVirtualServer(server(tcp(VIP4, 80), "rr")));
    assert_eq!(kind, OpErrorKind::NoSuchVirtualServer);
    assert!(read(kernel).tables.virtual_servers.is_empty());
}

fn deleting_a_missing_virtual_server_is_refused(kernel: &mut dyn ContractKernel) {
    let kind = refused(kernel, Op::DelVirtualServer(tcp(VIP6, 80)));
    assert_eq!(kind, OpErrorKind::NoSuchVirtualServer);
}

fn changing_a_virtual_server_keeps_its_real_servers(kernel: &mut dyn ContractKernel) {
    let key = tcp(VIP4, 80);
    do_all(
        kernel,
        [
            Op::AddVirtualServer(server(key, "rr")),
            Op::AddRealServer(key, real(1, 1)),
            Op::SetVirtualServer(server(key, "wlc")),
        ],
    );
    let entry = entry(kernel, key);
    assert_eq!(entry.server, server(key, "wlc"));
    assert_eq!(entry.real_servers.len(), 1);
}

fn deleting_a_virtual_server_deletes_its_real_servers(kernel: &mut dyn ContractKernel) {
    let key = tcp(VIP4, 80);
    let create = || Op::AddVirtualServer(server(key, "rr"));
    do_all(
        kernel,
        [
            create(),
            Op::AddRealServer(key, real(1, 1)),
            Op::AddRealServer(key, real(2, 1)),
            Op::DelVirtualServer(key),
        ],
    );
    assert!(read(kernel).tables.virtual_servers.is_empty());
    let kind = refused(kernel, Op::DelRealServer(key, real(1, 1).key));
    assert_eq!(kind, OpErrorKind::NoSuchVirtualServer);
    do_all(kernel, [create()]);
    assert!(entry(kernel, key).real_servers.is_empty());
}

fn adding_a_virtual_server_with_an_unknown_scheduler_names_it(kernel: &mut dyn ContractKernel) {
    let kind = refused(
        kernel,
        Op::AddVirtualServer(server(tcp(VIP4, 80), "nonesuch")),
    );
    let name = Scheduler("nonesuch".into());
    assert_eq!(kind, OpErrorKind::UnknownScheduler(name));
    assert!(read(kernel).tables.virtual_servers.is_empty());
}

fn changing_a_virtual_server_to_an_unknown_scheduler_names_it_and_changes_nothing(
    kernel: &mut dyn ContractKernel,
) {
    let server_now = server(tcp(VIP4, 80), "rr");
    do_all(kernel, [Op::AddVirtualServer(server_now.clone())]);
    let kind = refused(
        kernel,
        Op::SetVirtualServer(server(server_now.key, "nonesuch")),
    );
    let name = Scheduler("nonesuch".into());
    assert_eq!(kind, OpErrorKind::UnknownScheduler(name));
    assert_eq!(entry(kernel, server_now.key).server, server_now);
}

fn a_missing_virtual_server_is_refused_before_its_scheduler_is_looked_up(
    kernel: &mut dyn ContractKernel,
) {
    let kind = refused(
        kernel,
        Op::SetVirtualServer(server(tcp(VIP4, 80), "nonesuch")),
    );
    assert_eq!(kind, OpErrorKind::NoSuchVirtualServer);
}

fn a_scheduler_name_too_long_for_the_kernel_is_refused(kernel: &mut dyn ContractKernel) {
    let kind = refused(
        kernel,
        Op::AddVirtualServer(server(tcp(VIP4, 80), "sixteen-bytes-xx")),
    );
    assert_eq!(kind, OpErrorKind::Invalid);
}

fn a_virtual_server_of_ipv6_needs_a_persistence_prefix(kernel: &mut dyn ContractKernel) {
    let mut server = server(tcp(VIP6, 80), "rr");
    server.persistence_prefix = 0;
    let kind = refused(kernel, Op::AddVirtualServer(server));
    assert_eq!(kind, OpErrorKind::Invalid);
}

fn one_port_has_a_virtual_server_for_each_protocol(kernel: &mut dyn ContractKernel) {
    let [first, second] = [Protocol::Tcp, Protocol::Udp].map(|protocol| key(VIP4, 53, protocol));
    do_all(
        kernel,
        [
            Op::AddVirtualServer(server(first, "rr")),
            Op::AddVirtualServer(server(second, "rr")),
            Op::AddRealServer(second, real(1, 1)),
            Op::DelVirtualServer(first),
        ],
    );
    let tables = read(kernel).tables.virtual_servers;
    assert_eq!(tables.keys().collect::<Vec<_>>(), [&second]);
    assert_eq!(tables[&second].real_servers.len(), 1);
}
