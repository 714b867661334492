//! Address-change notices of a real kernel.

mod vm;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use kernel::linux::{AddressWatch, Changes, DeviceLosses, LostAddresses, WatchStop, Watched};
use model::Op;

use support::namespace::in_namespace;
use support::program::run;
use vm::{do_all, make_bridge, open};

/// Longer than any change takes to be reported.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a change would take to be reported.
const QUIET: Duration = Duration::from_millis(300);

fn ip(arguments: &str) {
    run("ip", arguments, "");
}

/// A watch in a separate thread, which forwards what it reports.
struct Watch {
    seen: mpsc::Receiver<Watched>,
    stop: Option<WatchStop>,
}

impl Watch {
    fn new() -> Self {
        Self::of(AddressWatch::open().expect("it is opened"))
    }

    fn of((mut watch, stop): (AddressWatch, WatchStop)) -> Self {
        let (tell, seen) = mpsc::channel();
        std::thread::spawn(move || {
            loop {
                let watched = watch.wait().expect("the socket works");
                let is_last = watched == Watched::Stopped;
                if tell.send(watched).is_err() || is_last {
                    return;
                }
            }
        });
        let stop = Some(stop);
        Self { seen, stop }
    }

    /// Checks that `change` is reported as a change of other interfaces if `is_change` is true, and
    /// that nothing is lost.
    fn check(&self, what: &str, change: impl FnOnce(), is_change: bool) {
        change();
        let seen = self.seen(if is_change { TIMEOUT } else { QUIET });
        let wanted = Changes {
            interfaces: is_change,
            ..Changes::default()
        };
        assert_eq!(seen, wanted, "{what}");
    }

    fn runs(&self, arguments: &str, is_change: bool) {
        self.check(arguments, || ip(arguments), is_change);
    }

    /// Returns the losses of the dummy device that `change` causes, and true if other interfaces
    /// change.
    fn loses(&self, change: impl FnOnce()) -> (DeviceLosses, bool) {
        change();
        let seen = self.seen(TIMEOUT);
        (seen.lost, seen.interfaces)
    }

    /// Returns all changes, from the first one, which arrives within `limit`, until the kernel is
    /// quiet. The kernel also creates addresses itself.
    fn seen(&self, mut limit: Duration) -> Changes {
        let mut all = Changes::default();
        loop {
            let changes = match self.seen.recv_timeout(limit) {
                Ok(Watched::Changed(changes)) => changes,
                Err(RecvTimeoutError::Timeout) => return all,
                other => panic!("{other:?}"),
            };
            all.interfaces |= changes.interfaces;
            all.lost.device |= changes.lost.device;
            all.lost.addresses = match (all.lost.addresses, changes.lost.addresses) {
                (LostAddresses::These(mut these), LostAddresses::These(more)) => {
                    these.extend(more);
                    LostAddresses::These(these)
                }
                _ => LostAddresses::Many,
            };
            limit = QUIET;
        }
    }
}

fn addresses(last: impl IntoIterator<Item = u8>) -> LostAddresses {
    let addresses = last.into_iter().map(|last| [10, 96, 0, last].into());
    LostAddresses::These(addresses.collect())
}

#[test]
fn added_and_deleted_interfaces_and_addresses_are_reported() {
    in_namespace(|| {
        let watch = Watch::new();
        watch.runs("link add eth0 type dummy", true);
        watch.runs("address add 192.0.2.1/24 dev eth0", true);
        watch.runs("address add 2001:db8::1/64 dev eth0 nodad", true);
        watch.runs("address del 192.0.2.1/24 dev eth0", true);
        watch.runs("link set eth0 name eth1", true);
        watch.runs("link del eth1", true);
    });
}

#[test]
fn existing_interfaces_are_not_changes() {
    in_namespace(|| {
        ip("link add eth0 type dummy");
        ip("address add 192.0.2.1/24 dev eth0");
        ip("address add 2001:db8::1/64 dev eth0 nodad");
        let watch = Watch::new();
        watch.runs("link set eth0 mtu 1400", false);
        watch.runs(
            "address change 192.0.2.1/24 dev eth0 valid_lft 3600 preferred_lft 3600",
            false,
        );
        watch.runs(
            "address change 2001:db8::1/64 dev eth0 valid_lft 3600 preferred_lft 3600",
            false,
        );
        watch.runs("address del 192.0.2.1/24 dev eth0", true);
    });
}

#[test]
fn only_losses_of_the_dummy_device_are_reported() {
    in_namespace(|| {
        let watch = Watch::new();
        let mut kernel = open();
        let all = || (0..=255).map(|last| Ipv4Addr::new(10, 96, 0, last).into());
        watch.check(
            "the device",
            || do_all(&mut kernel, [Op::EnsureDevice]),
            false,
        );
        let add = || all().map(Op::AddAddress);
        watch.check("addresses", || do_all(&mut kernel, add()), false);
        let (lost, interfaces) = watch.loses(|| ip("address del 10.96.0.7/32 dev kube-ipvs0"));
        assert_eq!((lost.device, interfaces), (false, false));
        assert_eq!(lost.addresses, addresses([7]));
        let others = || all().filter(|address| *address != IpAddr::from([10, 96, 0, 7]));
        let (lost, _) = watch.loses(|| do_all(&mut kernel, others().map(Op::DelAddress)));
        assert_eq!(
            lost.addresses,
            addresses((0..=255).filter(|last| *last != 7))
        );
        let (lost, interfaces) = watch.loses(|| do_all(&mut kernel, [Op::DelDevice]));
        assert_eq!((lost.device, interfaces), (true, false));
        watch.runs("link add eth0 type dummy", true);
    });
}

#[test]
fn an_address_of_ipv6_that_the_dummy_device_loses_is_named() {
    in_namespace(|| {
        let mut kernel = open();
        let address: IpAddr = "fd00::10".parse().expect("an address");
        do_all(&mut kernel, [Op::EnsureDevice, Op::AddAddress(address)]);
        let watch = Watch::new();
        let (lost, _) = watch.loses(|| ip("address flush dev kube-ipvs0"));
        assert_eq!(lost.addresses, LostAddresses::These([address].into()));
    });
}

#[test]
fn a_deleted_device_with_addresses_is_lost() {
    in_namespace(|| {
        let mut kernel = open();
        let add = (0..=255).map(|last| Op::AddAddress(Ipv4Addr::new(10, 96, 0, last).into()));
        do_all(&mut kernel, std::iter::once(Op::EnsureDevice).chain(add));
        let watch = Watch::new();
        let (lost, interfaces) = watch.loses(|| ip("link del kube-ipvs0"));
        assert_eq!((lost.device, interfaces), (true, false));
    });
}

#[test]
fn an_existing_dummy_device_is_watched() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice]);
        let watch = Watch::new();
        let add = Op::AddAddress(Ipv4Addr::new(10, 96, 0, 10).into());
        watch.check("an address", || do_all(&mut kernel, [add]), false);
        let (lost, interfaces) = watch.loses(|| ip("link set kube-ipvs0 name other"));
        assert_eq!((lost.device, interfaces), (true, true));
        watch.runs("address add 10.96.0.11/32 dev other", true);
        // Another device takes its name.
        let (lost, _) = watch.loses(|| ip("link add kube-ipvs0 type bridge"));
        assert!(lost.device);
    });
}

#[test]
fn a_port_that_leaves_its_bridge_does_not_vanish() {
    in_namespace(|| {
        make_bridge("br0");
        ip("link add eth0 type dummy");
        ip("link set eth0 up");
        ip("link set br0 up");
        // The kernel now creates addresses itself.
        std::thread::sleep(Duration::from_secs(3));
        ip("link set eth0 master br0");
        std::thread::sleep(Duration::from_secs(1));
        let watch = Watch::new();
        watch.runs("link set eth0 nomaster", false);
        watch.runs("link del eth0", true);
    });
}

#[test]
fn a_burst_is_reported_once() {
    in_namespace(|| {
        let watch = Watch::new();
        let script: String = (0..200)
            .map(|last| format!("address add 192.0.2.{last}/24 dev lo\n"))
            .collect();
        let path = std::env::temp_dir().join(format!("burst-{}", std::process::id()));
        std::fs::write(&path, script).expect("a file");
        let start = Instant::now();
        ip(&format!("-batch {}", path.display()));
        let mut told = 0_u32;
        while watch.seen.recv_timeout(QUIET).is_ok() {
            told += 1;
        }
        let bursts = start.elapsed().as_millis() / 50 + 1;
        assert!(
            told >= 1 && u128::from(told) <= bursts,
            "{told} in {bursts}"
        );
    });
}

/// Sends more notices than the buffer holds while nothing reads them.
#[test]
fn dropped_notices_are_a_change_and_later_ones_are_reported() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice]);
        let opened = AddressWatch::open().expect("it is opened");
        for _ in 0..16 {
            for verb in [Op::AddAddress, Op::DelAddress] {
                let addresses = (0..4_096_u16).map(|number| {
                    let [high, low] = number.to_be_bytes();
                    verb(Ipv4Addr::new(10, 96, high, low).into())
                });
                do_all(&mut kernel, addresses);
            }
        }
        let watch = Watch::of(opened);
        let seen = watch.seen(TIMEOUT);
        assert!(seen.interfaces);
        assert_eq!(seen.lost.addresses, LostAddresses::Many);
        watch.runs("address add 192.0.2.1/24 dev lo", true);
    });
}

#[test]
fn the_watch_ends_when_it_is_stopped() {
    in_namespace(|| {
        let mut watch = Watch::new();
        drop(watch.stop.take());
        assert_eq!(watch.seen.recv_timeout(TIMEOUT), Ok(Watched::Stopped));
    });
}
