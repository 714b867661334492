//! Stale UDP flows in large tables.

mod vm;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use kernel::linux::Conntrack;
use model::udp_flows::UdpFlows;
use support::namespace::in_namespace;
use support::program::run;

/// Number of clients, each at a different port.
const CLIENTS: u16 = 56_000;

/// Virtual addresses to which each client has a flow: 504,000 flows in total.
const VIPS: [Ipv4Addr; 9] = [
    Ipv4Addr::new(127, 96, 0, 1),
    Ipv4Addr::new(127, 96, 0, 2),
    Ipv4Addr::new(127, 96, 0, 3),
    Ipv4Addr::new(127, 96, 0, 4),
    Ipv4Addr::new(127, 96, 0, 5),
    Ipv4Addr::new(127, 96, 0, 6),
    Ipv4Addr::new(127, 96, 0, 7),
    Ipv4Addr::new(127, 96, 0, 8),
    Ipv4Addr::new(127, 96, 0, 9),
];

/// Additional memory that the deletion may need, in KiB (k/k#129982: 12 GB).
const ROOM: usize = 16 * 1024;

/// Returns the peak memory of this process so far, in KiB (`VmHWM`, proc(5)).
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.expect("its peak").split_ascii_whitespace().nth(1);
    number.expect("a number").parse().expect("a number")
}

/// Returns flows to `vips`, each served by `server`, or by itself if `server` is `None`.
fn flows_to(vips: &[Ipv4Addr], server: Option<SocketAddr>) -> UdpFlows {
    let served = vips.iter().map(|vip| {
        let vip = SocketAddr::from((*vip, 53));
        (vip, [server.unwrap_or(vip)].into())
    });
    UdpFlows {
        served: served.collect(),
    }
}

/// Creates flows of every client to each virtual address. No server answers.
fn fill() {
    // Dropping the datagrams is cheaper than rejecting each of them.
    run(
        "iptables",
        "-A INPUT -p udp -m conntrack --ctstate NEW -j DROP",
        "",
    );
    // Filling the table takes time, and the flows must not expire meanwhile.
    run(
        "sysctl",
        "-qw net.netfilter.nf_conntrack_udp_timeout=600",
        "",
    );
    for port in 1..=CLIENTS {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("a socket");
        for vip in VIPS {
            client.send_to(b"hello", (vip, 53)).expect("it is sent");
        }
    }
}

#[test]
fn a_large_table_is_cleared_in_little_memory() {
    run("modprobe", "nf_conntrack", "");
    // The limit applies to all network namespaces together. A flow is refused if its bucket already
    // contains many flows (`nf_conntrack_confirm`, net/netfilter/nf_conntrack_core.c, Linux 6.1).
    for (setting, value) in [
        ("/proc/sys/net/netfilter/nf_conntrack_max", "1000000"),
        ("/sys/module/nf_conntrack/parameters/hashsize", "524288"),
    ] {
        std::fs::write(setting, value).unwrap_or_else(|error| panic!("{setting}: {error}"));
    }
    in_namespace(|| {
        fill();
        let mut conntrack = Conntrack::open().expect("it opens");
        let server = Some(([10, 1, 0, 1], 53).into());
        let each = u64::from(CLIENTS);
        let others = each * (VIPS.len() as u64 - 1);
        for (flows, seen, deleted) in [
            (flows_to(&VIPS, None), others + each, 0),
            (flows_to(&VIPS[..1], server), others + each, each),
            (flows_to(&VIPS, server), others, others),
        ] {
            let (before, began) = (peak(), Instant::now());
            let cleared = conntrack.clear_stale(&flows).expect("it works");
            let more = peak() - before;
            println!("{cleared:?} in {:?}, {more} KiB more", began.elapsed());
            assert_eq!((cleared.seen, cleared.deleted), (seen, [deleted, 0]));
            assert!(more < ROOM, "{more} KiB");
        }
    });
}
