//! Stale UDP flows of a real kernel.

mod vm;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;

use kernel::linux::Conntrack;
use libtest_mimic::{Arguments, Trial};
use model::udp_flows::UdpFlows;
use support::namespace::in_namespace;
use support::program::run;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    room_for(200_000);
    type Case = fn();
    let cases: [(&str, Case); 3] = [
        (
            "stale_flows_go_and_others_stay",
            stale_flows_go_and_others_stay,
        ),
        (
            "nothing_wanted_nothing_deleted",
            nothing_wanted_nothing_deleted,
        ),
        ("many_flows_in_little_memory", many_flows_in_little_memory),
    ];
    let trials = cases.map(|(name, case)| {
        Trial::test(name, move || {
            in_namespace(case);
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Sets the maximum number of tracked flows, for all network namespaces together.
fn room_for(flows: u32) {
    run("modprobe", "nf_conntrack", "");
    let limit = "/proc/sys/net/netfilter/nf_conntrack_max";
    if let Err(error) = std::fs::write(limit, flows.to_string()) {
        eprintln!("{limit}: {error}");
    }
}

const VIP4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)), 53);
const VIP6: SocketAddr = SocketAddr::new(
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x10)),
    53,
);

/// Adds the virtual addresses to this node and enables tracking.
fn prepare() {
    for arguments in [
        "address add 10.96.0.10/32 dev lo",
        "address add fd00:96::10/128 dev lo nodad",
    ] {
        run("ip", arguments, "");
    }
    for program in ["iptables", "ip6tables"] {
        run(
            program,
            "-A OUTPUT -m conntrack --ctstate NEW -j ACCEPT",
            "",
        );
    }
}

fn any(of: SocketAddr) -> SocketAddr {
    match of {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Creates a flow to `to`, which answers from its own address.
fn flow(to: SocketAddr) {
    let socket = UdpSocket::bind(any(to)).expect("a socket");
    socket.send_to(b"hello", to).expect("it is sent");
}

/// Returns the number of tracked flows by destination port.
fn tracked() -> BTreeMap<u16, usize> {
    let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").expect("the table");
    let mut ports = BTreeMap::new();
    for line in table.lines() {
        let port = line.split(' ').find_map(|word| word.strip_prefix("dport="));
        let port = port.and_then(|port| port.parse().ok()).unwrap_or_default();
        *ports.entry(port).or_default() += 1;
    }
    ports
}

fn served_by(vip: SocketAddr, server: &str) -> (SocketAddr, BTreeSet<SocketAddr>) {
    (vip, [server.parse().expect("a server")].into())
}

fn stale_flows_go_and_others_stay() {
    prepare();
    let _servers = [VIP4, VIP6].map(|vip| UdpSocket::bind(vip).expect("a server"));
    let tcp = TcpListener::bind(VIP4).expect("a listener");
    flow(VIP4);
    flow(VIP6);
    flow(SocketAddr::new(VIP4.ip(), 54));
    let _stream = TcpStream::connect(tcp.local_addr().expect("its address")).expect("it connects");
    let before = tracked();
    assert_eq!(
        before[&53], 3,
        "expected two UDP flows and one TCP flow: {before:?}"
    );

    let mut conntrack = Conntrack::open().expect("it opens");
    // The virtual addresses themselves may answer, so no flow is stale.
    let right = UdpFlows {
        served: [VIP4, VIP6]
            .map(|vip| served_by(vip, &vip.to_string()))
            .into(),
    };
    let cleared = conntrack.clear_stale(&right).expect("it works");
    assert_eq!(cleared.deleted, [0, 0]);
    assert!(cleared.seen >= 3, "{cleared:?}");
    assert_eq!(tracked(), before);

    let wrong = UdpFlows {
        served: [
            served_by(VIP4, "10.1.0.1:5353"),
            served_by(VIP6, "[fd01::1]:5353"),
        ]
        .into(),
    };
    let cleared = conntrack.clear_stale(&wrong).expect("it works");
    assert_eq!(cleared.deleted, [1, 1]);
    let after = tracked();
    assert_eq!(after[&53], 1, "the TCP flow must stay: {after:?}");
    assert_eq!(
        after[&54], 1,
        "the flow to another port must stay: {after:?}"
    );
}

fn nothing_wanted_nothing_deleted() {
    prepare();
    flow(VIP4);
    let mut conntrack = Conntrack::open().expect("it opens");
    let cleared = conntrack
        .clear_stale(&UdpFlows::default())
        .expect("it works");
    assert_eq!((cleared.seen, cleared.deleted), (0, [0, 0]));
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.expect("its peak").split_ascii_whitespace().nth(1);
    words.expect("a number").parse().expect("a number")
}

fn many_flows_in_little_memory() {
    const FLOWS: u16 = 40_000;
    prepare();
    let socket = UdpSocket::bind(any(VIP4)).expect("a socket");
    let vip = VIP4.ip();
    for port in 1..=FLOWS {
        socket.send_to(b"hello", (vip, port)).expect("it is sent");
    }
    let before = resident();
    let mut conntrack = Conntrack::open().expect("it opens");
    let stale = (1..=FLOWS / 2).map(|port| served_by((vip, port).into(), "10.1.0.1:5353"));
    let flows = UdpFlows {
        served: stale.collect(),
    };
    let wanted = resident() - before;
    let cleared = conntrack.clear_stale(&flows).expect("it works");
    let more = resident() - before - wanted;
    println!("{cleared:?}: {more} KiB more at the peak");
    assert!(cleared.seen >= u64::from(FLOWS));
    assert_eq!(cleared.deleted, [u64::from(FLOWS / 2), 0]);
    assert!(more < 16 * 1024, "{more} KiB");
}
