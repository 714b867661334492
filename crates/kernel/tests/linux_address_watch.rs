//! Notices of changed addresses from a real kernel.

mod vm;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use kernel::linux::{AddressWatch, WatchStop, Watched};
use model::{DEVICE, Op};

use vm::{do_all, in_namespace, make_bridge, open};

/// Long enough for any change to be told.
const PATIENCE: Duration = Duration::from_secs(5);
/// Long enough for a change to be told if it were one.
const QUIET: Duration = Duration::from_millis(300);

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.expect("ip is there").success(), "ip {arguments}");
}

/// A watch in a thread of its own, which tells what it saw.
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
                if tell.send(watched).is_err() || watched == Watched::Stopped {
                    return;
                }
            }
        });
        let stop = Some(stop);
        Self { seen, stop }
    }

    fn check(&self, what: &str, change: impl FnOnce(), is_change: bool) {
        change();
        let limit = if is_change { PATIENCE } else { QUIET };
        let seen = self.seen.recv_timeout(limit);
        let wanted = match is_change {
            true => Ok(Watched::Changed),
            false => Err(RecvTimeoutError::Timeout),
        };
        assert_eq!(seen, wanted, "{what}");
        // What comes with it, such as an address that the kernel makes, is told by then.
        while self.seen.recv_timeout(QUIET).is_ok() {}
    }

    fn runs(&self, arguments: &str, is_change: bool) {
        self.check(arguments, || ip(arguments), is_change);
    }
}

#[test]
fn interfaces_and_addresses_that_come_and_go_are_told() {
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
fn what_is_there_already_is_no_change() {
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
fn our_own_changes_are_not_told() {
    in_namespace(|| {
        let watch = Watch::new();
        let mut kernel = open();
        let addresses = || (0..=255).map(|last| Ipv4Addr::new(10, 96, 0, last).into());
        watch.check(
            "the device",
            || do_all(&mut kernel, [Op::EnsureDevice]),
            false,
        );
        let add = || addresses().map(Op::AddAddress);
        watch.check("addresses", || do_all(&mut kernel, add()), false);
        let del = || addresses().map(Op::DelAddress);
        watch.check("no addresses", || do_all(&mut kernel, del()), false);
        watch.check("no device", || do_all(&mut kernel, [Op::DelDevice]), false);
        watch.runs("link add eth0 type dummy", true);
    });
}

#[test]
fn addresses_of_a_device_that_was_there_before_are_ours_too() {
    in_namespace(|| {
        let mut kernel = open();
        do_all(&mut kernel, [Op::EnsureDevice]);
        let watch = Watch::new();
        let add = Op::AddAddress(Ipv4Addr::new(10, 96, 0, 10).into());
        watch.check("an address", || do_all(&mut kernel, [add]), false);
        watch.runs(&format!("link set {DEVICE} name other"), true);
        watch.runs("address add 10.96.0.11/32 dev other", true);
    });
}

#[test]
fn a_port_that_leaves_its_bridge_does_not_vanish() {
    in_namespace(|| {
        make_bridge("br0").expect("a bridge");
        ip("link add eth0 type dummy");
        ip("link set eth0 up");
        ip("link set br0 up");
        // The kernel makes addresses of its own now.
        std::thread::sleep(Duration::from_secs(3));
        ip("link set eth0 master br0");
        std::thread::sleep(Duration::from_secs(1));
        let watch = Watch::new();
        watch.runs("link set eth0 nomaster", false);
        watch.runs("link del eth0", true);
    });
}

#[test]
fn a_burst_is_told_once() {
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

/// More than its buffer holds, while nobody waits.
#[test]
fn dropped_notices_are_a_change_and_later_ones_are_told() {
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
        let seen = watch.seen.recv_timeout(PATIENCE);
        assert_eq!(seen, Ok(Watched::Changed));
        while watch.seen.recv_timeout(QUIET).is_ok() {}
        watch.runs("address add 192.0.2.1/24 dev lo", true);
    });
}

#[test]
fn the_watch_ends_when_it_is_told_to() {
    in_namespace(|| {
        let mut watch = Watch::new();
        drop(watch.stop.take());
        assert_eq!(watch.seen.recv_timeout(PATIENCE), Ok(Watched::Stopped));
    });
}
