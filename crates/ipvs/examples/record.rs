//! Records the messages between `ipvsadm` and the kernel as the goldens of
//! `tests/goldens/captured`.
//!
//! The program needs root, `ipvsadm`, `ip`, and a kernel with IPVS and `nlmon`, a device that
//! captures every netlink message of its network namespace. In a VM:
//!
//! ```text
//! cargo build -p ipvs --features client --example record
//! cargo xtask vm --name goldens -- sh -c 'target/debug/examples/record $VM_OUT'
//! cp target/vm/out/goldens/*.txt crates/ipvs/tests/goldens/captured/
//! ```
//!
//! A second run changes a golden only if the kernel or ipvsadm behaves differently.

#[path = "../tests/goldens/format.rs"]
mod format;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use ipvs::client::Client;
use ipvs::codec::Message;
use netlink::{Connection, Protocol};
use netlink_packet_core::{NLM_F_REQUEST, ParseableParametrized as _};
use netlink_packet_generic::GenlHeader;
use support::Monitor;
use support::golden::{Captured, Direction, Golden};
use support::messages;
use support::namespace::{UnshareFlags, unshare};
use support::program::run;

use format::explain;

/// File names and the arguments of `ipvsadm`. The order matters: later commands use entries of
/// earlier ones.
const CASES: &[(&str, &str)] = &[
    ("add_virtual_server", "-A -t 10.0.0.1:80 -s rr"),
    ("add_virtual_server_ipv6", "-A -t [fd00::1]:80 -s wlc"),
    (
        "add_virtual_server_udp_one_packet",
        "-A -u 10.0.0.1:53 -s rr -o",
    ),
    (
        "add_virtual_server_sctp",
        "-A --sctp-service 10.0.0.1:80 -s lc",
    ),
    (
        "add_virtual_server_persistent",
        "-A -t 10.0.0.2:443 -s wrr -p 10800 -M 255.255.255.0",
    ),
    (
        "add_virtual_server_persistent_ipv6",
        "-A -t [fd00::2]:443 -s wrr -p 600 -M 64",
    ),
    (
        "add_virtual_server_engine",
        "-A -u 10.0.0.1:5060 -s rr -p 60 --pe sip",
    ),
    (
        "add_virtual_server_scheduler_flags",
        "-A -t 10.0.0.3:80 -s mh -b mh-fallback,mh-port",
    ),
    ("add_virtual_server_fwmark", "-A -f 7 -s rr"),
    ("add_virtual_server_fwmark_ipv6", "-A -f 7 -6 -s rr"),
    (
        "change_virtual_server",
        "-E -t 10.0.0.1:80 -s sh -b sh-port",
    ),
    (
        "add_real_server_masquerade",
        "-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 3 -x 100 -y 50",
    ),
    (
        "add_real_server_route",
        "-a -t 10.0.0.1:80 -r 10.1.0.2:80 -g -w 0",
    ),
    (
        "add_real_server_ipip",
        "-a -t 10.0.0.1:80 -r 10.1.0.3:80 -i -w 1 --tun-type ipip",
    ),
    (
        "add_real_server_gue",
        "-a -t 10.0.0.1:80 -r 10.1.0.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
    ),
    (
        "add_real_server_gre",
        "-a -t 10.0.0.1:80 -r 10.1.0.5:80 -i -w 1 --tun-type gre --tun-csum",
    ),
    (
        "add_real_server_ipv6",
        "-a -t [fd00::1]:80 -r [fd00:1::1]:8080 -m -w 1",
    ),
    (
        "add_real_server_of_another_family",
        "-a -t 10.0.0.1:80 -r [fd00:1::1]:80 -i -w 1 --tun-type ipip",
    ),
    ("add_real_server_fwmark", "-a -f 7 -r 10.1.0.1:99 -m -w 1"),
    (
        "change_real_server",
        "-e -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 9",
    ),
    ("list", "-Ln"),
    ("info", "-Ln -t 10.0.0.3:80"),
    ("zero_one", "-Z -t 10.0.0.1:80"),
    ("zero_all", "-Z"),
    ("delete_real_server", "-d -t 10.0.0.1:80 -r 10.1.0.1:8080"),
    ("delete_virtual_server", "-D -t 10.0.0.1:80"),
    ("delete_virtual_server_fwmark", "-D -f 7 -6"),
    ("set_timeouts", "--set 901 121 301"),
    ("list_timeouts", "-L --timeout"),
    (
        "start_master",
        "--start-daemon master --mcast-interface sync0 --syncid 7",
    ),
    (
        "start_backup",
        "--start-daemon backup --mcast-interface sync0 --syncid 8 --sync-maxlen 900 \
         --mcast-group 239.1.2.3 --mcast-port 9000 --mcast-ttl 5",
    ),
    ("list_daemons", "-L --daemon"),
    ("stop_master", "--stop-daemon master"),
    ("stop_backup", "--stop-daemon backup"),
    (
        "start_master_ipv6",
        "--start-daemon master --mcast-interface sync0 --syncid 9 --mcast-group ff05::81",
    ),
    ("list_daemons_ipv6", "-L --daemon"),
    ("stop_master_ipv6", "--stop-daemon master"),
    ("flush", "-C"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: record FOLDER")?;
    unshare(UnshareFlags::NEWNET)?;
    for arguments in [
        "link set lo up",
        "link add sync0 type dummy",
        "link set sync0 up",
        "address add 192.0.2.1/24 dev sync0",
        "address add fd00:9::1/64 dev sync0 nodad",
        "link add nlmon0 type nlmon",
        "link set nlmon0 up",
    ] {
        run("ip", arguments, "");
    }
    // Loads the module before the capture starts.
    drop(Client::open()?);
    let mut connection = Connection::open(Protocol::Generic)?;
    let family = netlink::generic::resolve(&mut connection, ipvs::codec::FAMILY_NAME)?;
    let mut monitor = Monitor::open("nlmon0")?;
    let origin = origin()?;
    monitor.drain(libc::NETLINK_GENERIC)?;
    for (name, arguments) in CASES {
        run("ipvsadm", arguments, "");
        let mut messages = Vec::new();
        for datagram in monitor.drain(libc::NETLINK_GENERIC)? {
            let parsed = messages::parse(&datagram).into_iter();
            for message in parsed.filter(|message| message.kind == family) {
                let message = captured(&message)?;
                // ipvsadm requests the version first, for every command.
                if *name == "info" || !message.meaning.lines().any(|line| line.ends_with("Info")) {
                    messages.push(message);
                }
            }
        }
        if messages.is_empty() {
            return Err(format!("ipvsadm {arguments}: no netlink message was captured").into());
        }
        let golden = Golden {
            name: (*name).to_owned(),
            command: format!("ipvsadm {arguments}"),
            origin: origin.clone(),
            messages,
        };
        golden.record(Path::new(&folder))?;
        // A daemon's thread must have run before it is stopped.
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Returns the versions of ipvsadm and the kernel.
fn origin() -> Result<String, Box<dyn Error>> {
    let version = run("ipvsadm", "--version", "");
    let version = version.split_ascii_whitespace().nth(1).unwrap_or("?");
    Ok(support::golden::origin("ipvsadm", version)?)
}

fn captured(message: &messages::Message<'_>) -> Result<Captured, Box<dyn Error>> {
    let header = GenlHeader::parse(message.payload)?;
    let direction = match message.flags & NLM_F_REQUEST {
        0 => Direction::FromKernel,
        _ => Direction::ToKernel,
    };
    let decoded = Message::parse_with_param(&message.payload[4..], header)?;
    Ok(Captured {
        direction,
        meaning: explain(&decoded),
        bytes: message.payload.to_vec(),
    })
}
