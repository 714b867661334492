//! Cases about real servers.

use std::net::{IpAddr, SocketAddr};

use ipvs::{
    Connections, Forwarding, Protocol, RealServer, Tunnel, TunnelFlags, TunnelKind,
    VirtualServerKey,
};
use model::Op;

use super::ContractKernel;
use super::builders::{VIP4, VIP6, do_all, entry, key, read, real, real_at, refused, server, tcp};
use super::named;
use model::kernel::OpErrorKind;

named![
    real_servers_read_back_as_added,
    every_forwarding_reads_back_as_added,
    adding_a_real_server_that_exists_is_refused,
    changing_a_real_server_changes_all_its_settings,
    changing_a_missing_real_server_is_refused,
    deleting_a_missing_real_server_is_refused,
    a_real_server_of_a_missing_virtual_server_is_refused,
    the_same_real_server_may_serve_several_virtual_servers,
    a_weight_has_31_bits,
    a_lower_threshold_above_the_upper_one_is_refused,
    a_real_server_of_another_family_needs_a_tunnel,
    a_gue_tunnel_needs_a_port,
    an_address_that_no_host_can_have_is_refused,
    a_real_server_that_is_added_again_has_its_connections_back,
];

fn ready(kernel: &mut dyn ContractKernel) -> VirtualServerKey {
    let key = tcp(VIP4, 80);
    do_all(kernel, [Op::AddVirtualServer(server(key, "rr"))]);
    key
}

fn add(kernel: &mut dyn ContractKernel, key: VirtualServerKey, real: RealServer) -> RealServer {
    do_all(kernel, [Op::AddRealServer(key, real)]);
    entry(kernel, key).real_servers[&real.key]
}

fn real_servers_read_back_as_added(kernel: &mut dyn ContractKernel) {
    let v4 = ready(kernel);
    let v6 = tcp(VIP6, 80);
    do_all(kernel, [Op::AddVirtualServer(server(v6, "rr"))]);
    let limited = RealServer {
        upper_threshold: 100,
        lower_threshold: 50,
        ..real(3, 7)
    };
    for real in [real(1, 1), real(2, 0), limited] {
        assert_eq!(add(kernel, v4, real), real);
    }
    let pod: IpAddr = "fd00:1::1".parse().expect("an address");
    assert_eq!(add(kernel, v6, real_at(pod, 1)), real_at(pod, 1));
    assert_eq!(entry(kernel, v4).real_servers.len(), 3);
}

fn every_forwarding_reads_back_as_added(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    let tunnel = |kind, port| {
        Forwarding::Tunnel(Tunnel {
            kind,
            port,
            flags: TunnelFlags::empty(),
        })
    };
    let all = [
        Forwarding::Masquerade,
        Forwarding::DirectRoute,
        tunnel(TunnelKind::Ipip, 0),
        tunnel(TunnelKind::Gue, 6080),
        tunnel(TunnelKind::Gre, 0),
    ];
    for (number, forwarding) in (1..).zip(all) {
        let real = RealServer {
            forwarding,
            ..real(number, 1)
        };
        assert_eq!(add(kernel, key, real), real);
    }
}

fn adding_a_real_server_that_exists_is_refused(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    add(kernel, key, real(1, 1));
    let kind = refused(kernel, Op::AddRealServer(key, real(1, 5)));
    assert_eq!(kind, OpErrorKind::AlreadyExists);
    let real_now = entry(kernel, key).real_servers[&real(1, 1).key];
    assert_eq!(real_now, real(1, 1));
}

fn changing_a_real_server_changes_all_its_settings(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    add(kernel, key, real(1, 1));
    let changed = RealServer {
        forwarding: Forwarding::DirectRoute,
        upper_threshold: 9,
        lower_threshold: 3,
        ..real(1, 0)
    };
    for real in [changed, real(1, 1)] {
        do_all(kernel, [Op::SetRealServer(key, real)]);
        assert_eq!(entry(kernel, key).real_servers[&real.key], real);
    }
}

fn changing_a_missing_real_server_is_refused(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    let kind = refused(kernel, Op::SetRealServer(key, real(1, 1)));
    assert_eq!(kind, OpErrorKind::NoSuchRealServer);
    assert!(entry(kernel, key).real_servers.is_empty());
}

fn deleting_a_missing_real_server_is_refused(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    let kind = refused(kernel, Op::DelRealServer(key, real(1, 1).key));
    assert_eq!(kind, OpErrorKind::NoSuchRealServer);
}

fn a_real_server_of_a_missing_virtual_server_is_refused(kernel: &mut dyn ContractKernel) {
    let key = tcp(VIP4, 80);
    for op in [
        Op::AddRealServer(key, real(1, 1)),
        Op::SetRealServer(key, real(1, 1)),
        Op::DelRealServer(key, real(1, 1).key),
    ] {
        assert_eq!(refused(kernel, op), OpErrorKind::NoSuchVirtualServer);
    }
}

fn the_same_real_server_may_serve_several_virtual_servers(kernel: &mut dyn ContractKernel) {
    let first = ready(kernel);
    let second = tcp(VIP4, 81);
    do_all(kernel, [Op::AddVirtualServer(server(second, "rr"))]);
    add(kernel, first, real(1, 1));
    add(kernel, second, real(1, 2));
    do_all(kernel, [Op::DelRealServer(first, real(1, 1).key)]);
    assert!(entry(kernel, first).real_servers.is_empty());
    let left = entry(kernel, second).real_servers;
    assert_eq!(left.values().collect::<Vec<_>>(), [&real(1, 2)]);
}

fn a_weight_has_31_bits(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    let heaviest = real(1, i32::MAX as u32);
    assert_eq!(add(kernel, key, heaviest), heaviest);
    let kind = refused(kernel, Op::AddRealServer(key, real(2, 1 << 31)));
    assert_eq!(kind, OpErrorKind::OutOfRange);
    let kind = refused(kernel, Op::SetRealServer(key, real(1, u32::MAX)));
    assert_eq!(kind, OpErrorKind::OutOfRange);
}

fn a_lower_threshold_above_the_upper_one_is_refused(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    let contradictory = RealServer {
        upper_threshold: 5,
        lower_threshold: 6,
        ..real(1, 1)
    };
    let kind = refused(kernel, Op::AddRealServer(key, contradictory));
    assert_eq!(kind, OpErrorKind::OutOfRange);
    add(kernel, key, real(1, 1));
    let kind = refused(kernel, Op::SetRealServer(key, contradictory));
    assert_eq!(kind, OpErrorKind::OutOfRange);
}

fn a_real_server_of_another_family_needs_a_tunnel(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    let pod: IpAddr = "fd00:1::1".parse().expect("an address");
    for forwarding in [Forwarding::Masquerade, Forwarding::DirectRoute] {
        let real = RealServer {
            forwarding,
            ..real_at(pod, 1)
        };
        let kind = refused(kernel, Op::AddRealServer(key, real));
        assert_eq!(kind, OpErrorKind::Invalid);
    }
    let tunnelled = RealServer {
        forwarding: Forwarding::Tunnel(Tunnel {
            kind: TunnelKind::Ipip,
            port: 0,
            flags: TunnelFlags::empty(),
        }),
        ..real_at(pod, 1)
    };
    assert_eq!(add(kernel, key, tunnelled), tunnelled);
    do_all(kernel, [Op::DelRealServer(key, tunnelled.key)]);
    assert!(entry(kernel, key).real_servers.is_empty());
}

fn a_gue_tunnel_needs_a_port(kernel: &mut dyn ContractKernel) {
    let key = ready(kernel);
    let real = RealServer {
        forwarding: Forwarding::Tunnel(Tunnel {
            kind: TunnelKind::Gue,
            port: 0,
            flags: TunnelFlags::empty(),
        }),
        ..real(1, 1)
    };
    let kind = refused(kernel, Op::AddRealServer(key, real));
    assert_eq!(kind, OpErrorKind::Invalid);
}

fn an_address_that_no_host_can_have_is_refused(kernel: &mut dyn ContractKernel) {
    let v4 = ready(kernel);
    let v6 = tcp(VIP6, 80);
    do_all(kernel, [Op::AddVirtualServer(server(v6, "rr"))]);
    for (key, address) in [
        (v4, "0.0.0.0"),
        (v4, "224.0.0.1"),
        (v4, "255.255.255.255"),
        (v6, "::"),
        (v6, "ff02::1"),
        (v6, "fe80::1"),
    ] {
        let address: IpAddr = address.parse().expect("an address");
        let real = real_at(address, 1);
        let kind = refused(kernel, Op::AddRealServer(key, real));
        assert_eq!(kind, OpErrorKind::Invalid, "{address}");
    }
}

fn a_real_server_that_is_added_again_has_its_connections_back(kernel: &mut dyn ContractKernel) {
    let key = key(VIP4, 53, Protocol::Udp);
    let pod: IpAddr = "10.96.0.11".parse().expect("an address");
    let real = real_at(pod, 1);
    let create = || {
        [
            Op::AddVirtualServer(server(key, "rr")),
            Op::AddRealServer(key, real),
        ]
    };
    do_all(
        kernel,
        [Op::EnsureDevice, Op::AddAddress(VIP4), Op::AddAddress(pod)],
    );
    do_all(kernel, create());
    kernel.send_datagram(SocketAddr::new(VIP4, 53));
    let one = Connections {
        inactive: 1,
        ..Connections::default()
    };
    let place = (key, real.key);
    assert_eq!(read(kernel).connections.get(&place), Some(&one));

    do_all(kernel, [Op::DelRealServer(key, real.key)]);
    assert_eq!(read(kernel).connections.get(&place), None);
    do_all(kernel, [Op::AddRealServer(key, real)]);
    assert_eq!(read(kernel).connections.get(&place), Some(&one));

    do_all(kernel, [Op::DelVirtualServer(key)]);
    assert_eq!(read(kernel).connections.get(&place), None);
    do_all(kernel, create());
    assert_eq!(read(kernel).connections.get(&place), Some(&one));
}
