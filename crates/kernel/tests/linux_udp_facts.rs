//! Facts about UDP flows that are already tracked, on which the deletion of stale flows relies.

mod vm;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use ipvs::{Protocol, RealServer, VirtualServerKey};
use kernel::LinuxKernel;
use kernel::linux::Conntrack;
use model::Op;
use model::udp_flows::UdpFlows;
use support::namespace::{self, NEEDS_VM, bring_up, within};
use support::program;

use vm::{do_all, real, server};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);

/// Time limit of one answer over a virtual cable.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Route of the answers to the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The servers have no route to the client, so they answer only masqueraded packets.
    Masqueraded,
    /// The servers answer through the node.
    Routed,
}

/// A client, a node and two servers behind the node.
struct Site {
    client: File,
    node: File,
    servers: [File; 2],
}

fn namespace() -> File {
    let namespace = namespace::create().unwrap_or_else(|error| panic!("{NEEDS_VM} ({error})"));
    within(&namespace, || bring_up("lo"));
    namespace
}

fn run(namespace: &File, lines: &[String]) {
    within(namespace, || {
        for line in lines {
            let (program, arguments) = line.split_once(' ').expect("a program");
            program::run(program, arguments, "");
        }
    });
}

fn set(namespace: &File, name: &str, value: &str) {
    within(namespace, || {
        std::fs::write(format!("/proc/sys/net/{name}"), value)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    });
}

/// Connects the node (`.1`) and `far` (`.2`) by a cable with the network 10.NUMBER.0.0/24.
fn cable(node: &File, far: &File, number: u8) {
    let path = format!("/proc/{}/fd/{}", std::process::id(), far.as_raw_fd());
    run(
        node,
        &[
            format!("ip link add to{number} type veth peer name eth0"),
            format!("ip link set eth0 netns {path}"),
            format!("ip address add 10.{number}.0.1/24 dev to{number}"),
            format!("ip link set to{number} up"),
        ],
    );
    run(
        far,
        &[
            format!("ip address add 10.{number}.0.2/24 dev eth0"),
            "ip link set eth0 up".to_owned(),
        ],
    );
}

impl Site {
    fn build(way: Way) -> Self {
        let site = Self {
            client: namespace(),
            node: namespace(),
            servers: [namespace(), namespace()],
        };
        cable(&site.node, &site.client, 0);
        cable(&site.node, &site.servers[0], 1);
        cable(&site.node, &site.servers[1], 2);
        run(
            &site.client,
            &["ip route add default via 10.0.0.1".to_owned()],
        );
        // Without a virtual server, a datagram leaves the node and is lost.
        run(
            &site.node,
            &["ip route add default via 10.2.0.2".to_owned()],
        );
        for number in 1..=2 {
            let masquerade = "iptables -t nat -A POSTROUTING -j MASQUERADE";
            match way {
                Way::Masqueraded => {
                    run(&site.node, &[format!("{masquerade} -d 10.{number}.0.0/24")]);
                }
                Way::Routed => {
                    let far = &site.servers[number - 1];
                    run(far, &[format!("ip route add default via 10.{number}.0.1")]);
                }
            }
        }
        // Flows are tracked only in a namespace with rules that need it.
        run(
            &site.node,
            &["iptables -A FORWARD -m conntrack --ctstate NEW -j ACCEPT".to_owned()],
        );
        drop(within(&site.node, vm::open));
        for (name, value) in [
            ("ipv4/ip_forward", "1"),
            ("ipv4/vs/conntrack", "1"),
            ("ipv4/vs/expire_nodest_conn", "1"),
        ] {
            set(&site.node, name, value);
        }
        site.serve();
        site
    }

    /// Starts servers that answer with their own address for the lifetime of the process.
    fn serve(&self) {
        for (namespace, address) in self.servers.iter().zip([FIRST, SECOND]) {
            let socket = within(namespace, || UdpSocket::bind((address, 8080))).expect("a socket");
            std::thread::spawn(move || {
                let mut room = [0; 16];
                while let Ok((_, from)) = socket.recv_from(&mut room) {
                    let _ = socket.send_to(address.to_string().as_bytes(), from);
                }
            });
        }
    }

    fn kernel(&self) -> LinuxKernel {
        within(&self.node, vm::open)
    }

    /// Returns a client socket whose datagrams all have the same addresses and ports.
    fn client(&self) -> UdpSocket {
        let socket = within(&self.client, || UdpSocket::bind("10.0.0.2:4000")).expect("a socket");
        socket
            .connect(SocketAddr::from((VIP, 53)))
            .expect("a way to the node");
        socket
            .set_read_timeout(Some(TIMEOUT))
            .expect("a time limit");
        socket
    }

    /// Deletes flows to the virtual server that are answered by another server than `right`.
    fn clear(&self, right: Ipv4Addr) -> u64 {
        let flows = UdpFlows {
            served: [((VIP, 53).into(), [(right, 8080).into()].into())].into(),
        };
        let mut conntrack = within(&self.node, Conntrack::open).expect("it opens");
        let cleared = conntrack.clear_stale(&flows).expect("it works");
        cleared.deleted.iter().sum()
    }

    /// Returns the tracked flows to the virtual address at the node.
    fn tracked(&self) -> String {
        let table = within(&self.node, || {
            std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").expect("the table")
        });
        let lines = table.lines().filter(|line| line.contains("dst=10.96.0.10"));
        lines.collect()
    }
}

/// Sends a datagram and returns the name of the server that answers, if any.
fn ask(socket: &UdpSocket) -> Option<String> {
    // Discards late answers to the previous datagram.
    socket.set_nonblocking(true).expect("no waiting");
    let mut room = [0; 64];
    while socket.recv(&mut room).is_ok() {}
    socket.set_nonblocking(false).expect("waiting");
    // An ICMP error for the previous datagram is reported by the next send.
    while socket.send(b"who").is_err() {}
    let length = socket.recv(&mut room).ok()?;
    Some(String::from_utf8_lossy(&room[..length]).into_owned())
}

const KEY: VirtualServerKey = VirtualServerKey::Address {
    address: std::net::IpAddr::V4(VIP),
    port: 53,
    protocol: Protocol::Udp,
};

fn add(kernel: &mut LinuxKernel, to: RealServer) {
    do_all(
        kernel,
        [
            Op::EnsureDevice,
            Op::AddAddress(VIP.into()),
            Op::AddVirtualServer(server(KEY, "rr")),
            Op::AddRealServer(KEY, to),
        ],
    );
}

fn from(address: Ipv4Addr) -> Option<String> {
    Some(address.to_string())
}

/// Sends `times` datagrams and returns who answered each.
fn ask_often(socket: &UdpSocket, times: usize) -> Vec<Option<String>> {
    (0..times).map(|_| ask(socket)).collect()
}

#[test]
fn a_flow_from_before_its_virtual_server_is_not_masqueraded_until_it_is_deleted() {
    let site = Site::build(Way::Masqueraded);
    let client = site.client();
    assert_eq!(ask(&client), None, "there is no virtual server yet");
    add(&mut site.kernel(), real(FIRST, 1));
    // IPVS forwards the datagram, but NAT is decided only at the first datagram of a flow.
    assert_eq!(ask_often(&client, 5), vec![None; 5]);
    assert!(
        site.tracked().contains("src=10.96.0.10 "),
        "{}",
        site.tracked()
    );
    let began = Instant::now();
    assert_eq!(site.clear(FIRST), 1);
    assert_eq!(ask(&client), from(FIRST));
    println!("answered {:?} after the deletion began", began.elapsed());
}

#[test]
fn a_flow_from_before_its_virtual_server_is_answered_where_answers_need_no_masquerade() {
    let site = Site::build(Way::Routed);
    let client = site.client();
    assert_eq!(ask(&client), None, "there is no virtual server yet");
    add(&mut site.kernel(), real(FIRST, 1));
    assert_eq!(ask_often(&client, 2), vec![from(FIRST); 2]);
    assert_eq!(site.clear(FIRST), 1, "though it is tracked as before");
    assert_eq!(ask(&client), from(FIRST));
}

/// Returns a client whose real server was deleted and replaced by another.
fn moved(expire_nodest_conn: &str) -> (Site, UdpSocket) {
    let site = Site::build(Way::Masqueraded);
    set(&site.node, "ipv4/vs/expire_nodest_conn", expire_nodest_conn);
    let client = site.client();
    let mut kernel = site.kernel();
    add(&mut kernel, real(FIRST, 1));
    assert_eq!(ask(&client), from(FIRST));
    do_all(
        &mut kernel,
        [
            Op::AddRealServer(KEY, real(SECOND, 1)),
            Op::DelRealServer(KEY, real(FIRST, 1).key),
        ],
    );
    (site, client)
}

/// The expiry is queued when the real server is deleted and runs one tick later
/// (`ip_vs_enqueue_expire_nodest_conns`, include/net/ip_vs.h, Linux 5.9 and later). A datagram
/// before it may be lost.
#[test]
fn ipvs_itself_forgets_the_flow_of_a_deleted_real_server_within_a_second() {
    let (site, client) = moved("1");
    let began = Instant::now();
    while !site.tracked().is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{}",
            site.tracked()
        );
    }
    println!("forgotten after {:?}", began.elapsed());
    assert_eq!(ask_often(&client, 3), vec![from(SECOND); 3]);
}

#[test]
fn the_flow_of_a_deleted_real_server_stays_where_ipvs_is_not_to_expire_it() {
    let (site, _client) = moved("0");
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        site.tracked().contains("src=10.1.0.2 "),
        "{}",
        site.tracked()
    );
    assert_eq!(site.clear(SECOND), 1);
    assert_eq!(site.tracked(), "");
}

#[test]
fn no_datagram_is_lost_once_the_flow_of_a_deleted_real_server_is_gone() {
    let (site, client) = moved("1");
    // IPVS deletes the flow at the same time, so either may be first.
    assert!(site.clear(SECOND) <= 1);
    assert_eq!(ask_often(&client, 3), vec![from(SECOND); 3]);
}

#[test]
fn a_flow_stays_with_a_real_server_of_weight_zero_even_where_it_was_deleted() {
    let site = Site::build(Way::Masqueraded);
    let client = site.client();
    let mut kernel = site.kernel();
    add(&mut kernel, real(FIRST, 1));
    assert_eq!(ask(&client), from(FIRST));
    do_all(
        &mut kernel,
        [
            Op::AddRealServer(KEY, real(SECOND, 1)),
            Op::SetRealServer(KEY, real(FIRST, 0)),
        ],
    );
    assert_eq!(ask_often(&client, 3), vec![from(FIRST); 3]);
    assert_eq!(site.clear(SECOND), 1);
    assert_eq!(ask_often(&client, 3), vec![from(FIRST); 3]);
}
