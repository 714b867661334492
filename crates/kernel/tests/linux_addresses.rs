//! The dummy device on Linux.

mod vm;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use kernel::{Kernel as _, LinuxKernel, OpErrorKind};
use model::{DEVICE, Op, Scope, Snapshot};

use support::namespace::{bring_up, in_namespace, is_up};
use support::program::run;
use vm::{apply, do_all, make_bridge, open, real, server, tcp};

const VIP4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));
const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x10));

fn observe(kernel: &mut LinuxKernel) -> Snapshot {
    let scope = Scope {
        addresses: true,
        ..Scope::NOTHING
    };
    kernel.observe(&scope).expect("a reading")
}

/// Returns `count` addresses, alternating between both families.
fn addresses(count: u16) -> Vec<IpAddr> {
    (0..count)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            if number % 2 == 0 {
                Ipv4Addr::new(10, 97, high, low).into()
            } else {
                Ipv6Addr::new(0xfd00, 0x97, 0, 0, 0, 0, 0, number).into()
            }
        })
        .collect()
}

#[test]
fn an_address_is_usable_though_the_device_is_down() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice]);
        for address in [VIP4, VIP6] {
            do_all(&mut kernel, [Op::AddAddress(address)]);
            let server = UdpSocket::bind((address, 5353)).expect("the address is local");
            server
                .set_read_timeout(Some(Duration::from_secs(5)))
                .expect("the timeout is valid");
            let client = UdpSocket::bind((address, 0)).expect("the address is local");
            // The kernel adds the local route of an IPv6 address in a work queue.
            let end = Instant::now() + Duration::from_secs(5);
            while let Err(error) = client.send_to(b"hello", (address, 5353)) {
                assert!(Instant::now() < end, "no route: {error}");
                std::thread::sleep(Duration::from_millis(1));
            }
            let mut buffer = [0; 16];
            let (length, _) = server.recv_from(&mut buffer).expect("a datagram arrives");
            assert_eq!(&buffer[..length], b"hello");
        }
        assert!(!is_up(DEVICE));
    });
}

#[test]
fn a_deleted_address_is_not_served() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice]);
        for address in [VIP4, VIP6] {
            do_all(
                &mut kernel,
                [Op::AddAddress(address), Op::DelAddress(address)],
            );
            assert!(UdpSocket::bind((address, 5353)).is_err());
        }
    });
}

/// Shows why one route to the network of all Services cannot replace their addresses.
#[test]
fn a_local_route_captures_unassigned_addresses() {
    const UNASSIGNED: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 200, 200));
    let source_to = |destination: IpAddr| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
        socket.connect((destination, 53))?;
        socket.local_addr().map(|address| address.ip())
    };
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice, Op::AddAddress(VIP4)]);
        assert_eq!(source_to(VIP4).expect("a route"), VIP4);
        assert!(source_to(UNASSIGNED).is_err(), "no route leads to it");

        do_all(&mut kernel, [Op::DelAddress(VIP4)]);
        bring_up(DEVICE);
        let route = format!("route add local 10.96.0.0/16 dev {DEVICE}");
        run("ip", &route, "");
        assert_eq!(source_to(VIP4).expect("a route"), VIP4);
        let server = UdpSocket::bind((UNASSIGNED, 53)).expect("it is local");
        let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
        client.send_to(b"hello", (UNASSIGNED, 53)).expect("a route");
        let mut buffer = [0; 16];
        let (length, from) = server.recv_from(&mut buffer).expect("a datagram arrives");
        assert_eq!((&buffer[..length], from.ip()), (&b"hello"[..], UNASSIGNED));
        assert!(observe(&mut kernel).tables.addresses.is_empty());
    });
}

#[test]
fn link_local_addresses_of_the_device_are_not_ours() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice, Op::AddAddress(VIP6)]);
        bring_up(DEVICE);
        let deadline = Instant::now() + Duration::from_secs(5);
        while !has_link_local() {
            assert!(Instant::now() < deadline, "no link-local address appeared");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(observe(&mut kernel).tables.addresses, [VIP6].into());
    });
}

fn has_link_local() -> bool {
    // The table of this thread's namespace, not of the process's.
    let table = std::fs::read_to_string("/proc/thread-self/net/if_inet6").expect("a table");
    table
        .lines()
        .any(|line| line.starts_with("fe80") && line.ends_with(DEVICE))
}

#[test]
fn other_interfaces_are_read_with_their_prefixes() {
    in_namespace(|| {
        let mut kernel = open();
        make_bridge("br-test");
        do_all(&mut kernel, [Op::EnsureDevice, Op::AddAddress(VIP4)]);
        let snapshot = observe(&mut kernel);
        let interfaces: Vec<(String, Vec<String>)> = snapshot
            .node
            .interfaces
            .iter()
            .map(|each| {
                let addresses = each.addresses.iter().map(ToString::to_string);
                (each.name.to_string(), addresses.collect())
            })
            .collect();
        let bridge = interfaces.iter().find(|(name, _)| name == "br-test");
        assert_eq!(bridge.map(|(_, addresses)| addresses.len()), Some(0));
        let lo = interfaces.iter().find(|(name, _)| name == "lo");
        let lo = lo.expect("lo").1.clone();
        assert_eq!(lo, ["127.0.0.1/8", "::1/128"]);
    });
}

#[test]
fn a_deleted_device_fails_later_addresses() {
    in_namespace(|| {
        let mut kernel = open();
        let all = addresses(2000);
        for _ in 0..5 {
            do_all(&mut kernel, [Op::EnsureDevice]);
            let kinds = std::thread::scope(|scope| {
                let stage = all.iter().copied().map(Op::AddAddress);
                let other = scope.spawn(|| {
                    let mut other = open();
                    std::thread::sleep(Duration::from_millis(2));
                    do_all(&mut other, [Op::DelDevice]);
                });
                let kinds = apply(&mut kernel, stage);
                other.join().expect("the device is deleted");
                kinds
            });
            assert_eq!(kinds.len(), all.len());
            let no_device = Some(OpErrorKind::NoDevice);
            for kind in &kinds {
                assert!(kind.is_none() || *kind == no_device, "{kind:?}");
            }
            // After the deletion, the device stays deleted.
            let first = kinds.iter().position(Option::is_some);
            let after = &kinds[first.unwrap_or(kinds.len())..];
            assert!(after.iter().all(|kind| *kind == no_device));
            assert!(!observe(&mut kernel).device);
        }
    });
}

#[test]
fn ten_thousand_addresses_are_added_and_read_back() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice]);
        let all = addresses(10_000);
        let start = Instant::now();
        do_all(&mut kernel, all.iter().copied().map(Op::AddAddress));
        let added = start.elapsed();
        let start = Instant::now();
        let read = observe(&mut kernel).tables.addresses;
        println!(
            "10,000 addresses: added {added:?}, read {:?}",
            start.elapsed()
        );
        assert_eq!(read, all.into_iter().collect::<BTreeSet<_>>());
    });
}

/// Simulates `net.ipv6.conf.default.disable_ipv6 = 1` for a device that is created later. Other
/// uses of IPv6 work.
#[test]
fn a_device_with_disabled_ipv6_rejects_ipv6_addresses() {
    in_namespace(|| {
        for name in ["all", "default"] {
            let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
            std::fs::write(path, "1").expect("the setting can be written");
        }
        let mut kernel = open();
        let v6: IpAddr = "fd00::10".parse().expect("an address");
        let key = tcp(v6, 80);
        let backend: IpAddr = "fd00::20".parse().expect("an address");
        let outcomes = apply(
            &mut kernel,
            [
                Op::EnsureDevice,
                Op::AddAddress(v6),
                Op::AddAddress(Ipv4Addr::new(10, 96, 0, 10).into()),
                Op::AddVirtualServer(server(key, "rr")),
                Op::AddRealServer(key, real(backend, 1)),
            ],
        );
        let refused = Some(OpErrorKind::Ipv6Disabled);
        assert_eq!(outcomes, [None, refused, None, None, None]);
        // The setting of the device itself decides.
        let path = format!("/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6");
        std::fs::write(path, "0").expect("the setting can be written");
        do_all(&mut kernel, [Op::AddAddress(v6)]);
    });
}
