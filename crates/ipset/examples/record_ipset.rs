//! Records the messages between `ipset` and the kernel as the goldens of `tests/goldens/captured`.
//!
//! The program needs root, `ipset`, `ip`, and a kernel with ip_set and `nlmon`, a device that
//! captures every netlink message of its network namespace. In a VM:
//!
//! ```text
//! cargo build -p ipset --features client --example record_ipset
//! cargo xtask vm --name goldens -- sh -c 'target/debug/examples/record_ipset $VM_OUT'
//! cp target/vm/out/goldens/*.txt crates/ipset/tests/goldens/captured/
//! ```
//!
//! A second run changes a golden only if the kernel or ipset behaves differently.

#[path = "../tests/goldens/format.rs"]
mod format;

use std::error::Error;
use std::path::Path;

use ipset::client::Client;
use ipset::codec::{Command, Message, SUBSYSTEM};
use netlink_packet_core::{NLM_F_REQUEST, NLMSG_ERROR};
use support::Monitor;
use support::golden::{Captured, Direction, Golden};
use support::messages;
use support::namespace::{UnshareFlags, unshare};
use support::program::{output, run};

use format::explain;

/// File names and the arguments of `ipset`. The order matters: later commands use entries of
/// earlier ones. Lines after the first are the input of `ipset restore`. Hashes have a fixed
/// `initval`, so that their entries have the same order in each run.
const CASES: &[(&str, &str)] = &[
    (
        "create_bitmap_port",
        "create PORTS bitmap:port range 0-65535",
    ),
    ("create_hash_ip", "create IP hash:ip initval 0x1"),
    (
        "create_hash_ip_inet6",
        "create IP6 hash:ip family inet6 initval 0x1",
    ),
    (
        "create_hash_ip_port",
        "create IPPORT hash:ip,port hashsize 4096 maxelem 100000 bucketsize 4 initval 0x1",
    ),
    (
        "create_hash_ip_port_inet6",
        "create IPPORT6 hash:ip,port family inet6 initval 0x1",
    ),
    (
        "create_hash_ip_port_ip",
        "create IPPORTIP hash:ip,port,ip initval 0x1",
    ),
    (
        "create_hash_ip_port_ip_inet6",
        "create IPPORTIP6 hash:ip,port,ip family inet6 initval 0x1",
    ),
    (
        "create_hash_ip_port_net",
        "create IPPORTNET hash:ip,port,net initval 0x1",
    ),
    (
        "create_hash_ip_port_net_inet6",
        "create IPPORTNET6 hash:ip,port,net family inet6 initval 0x1",
    ),
    (
        "create_with_options",
        "create OPTIONS hash:ip timeout 600 counters comment initval 0x1",
    ),
    (
        "create_another_type",
        "create ANOTHER hash:net,iface initval 0x1",
    ),
    ("create_refused", "create IP hash:ip maxelem 7"),
    ("add_port", "add PORTS 30480"),
    ("add_ip", "add IP 10.96.0.1"),
    ("add_ip_inet6", "add IP6 fd00:10:96::1"),
    ("add_ip_port", "add IPPORT 10.96.0.1,tcp:443"),
    ("add_ip_port_inet6", "add IPPORT6 fd00:10:96::1,udp:53"),
    (
        "add_ip_port_ip",
        "add IPPORTIP 10.244.1.5,tcp:8080,10.244.1.5",
    ),
    (
        "add_ip_port_ip_inet6",
        "add IPPORTIP6 fd00:10:244:1::5,sctp:8080,fd00:10:244:1::5",
    ),
    (
        "add_ip_port_net",
        "add IPPORTNET 203.0.113.15,tcp:80,198.51.100.0/24",
    ),
    (
        "add_ip_port_net_of_one_host",
        "add IPPORTNET 203.0.113.15,tcp:80,198.51.99.1",
    ),
    (
        "add_ip_port_net_inet6",
        "add IPPORTNET6 2001:db8::15,tcp:80,2001:db8:1::/48",
    ),
    (
        "add_nomatch",
        "add IPPORTNET 203.0.113.15,tcp:80,198.51.100.7 nomatch",
    ),
    (
        "add_with_options",
        "add OPTIONS 10.0.0.1 timeout 60 comment words",
    ),
    ("add_refused", "add IP 10.96.0.1"),
    ("add_unfit", "add IPPORTNET 203.0.113.15,tcp:80,0.0.0.0/0"),
    (
        "add_many",
        "restore\nadd IPPORT 10.96.0.2,tcp:80\nadd IPPORT 10.96.0.3,udp:53\nadd IPPORT 10.96.0.4,sctp:9\n",
    ),
    (
        "add_many_refused",
        "restore\nadd IPPORT 10.96.0.5,tcp:80\nadd IPPORT 10.96.0.2,tcp:80\nadd IPPORT 10.96.0.6,tcp:80\n",
    ),
    ("test", "test IPPORT 10.96.0.1,tcp:443"),
    ("test_refused", "test IPPORT 10.96.0.1,tcp:444"),
    ("list", "list"),
    ("list_one", "list IPPORTNET"),
    ("list_names", "list -n"),
    ("list_headers", "list -t"),
    ("list_refused", "list MISSING"),
    ("save", "save IPPORT"),
    ("delete", "del IPPORT 10.96.0.1,tcp:443"),
    (
        "delete_many",
        "restore\ndel IPPORT 10.96.0.3,udp:53\ndel IPPORT 10.96.0.4,sctp:9\n",
    ),
    ("rename", "rename IPPORT6 RENAMED"),
    ("create_second", "create SECOND hash:ip initval 0x1"),
    ("swap", "swap IP SECOND"),
    ("swap_refused", "swap IP IPPORT"),
    ("flush", "flush SECOND"),
    ("flush_all", "flush"),
    ("destroy", "destroy SECOND"),
    ("destroy_refused", "destroy MISSING"),
    ("destroy_all", "destroy"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: record_ipset FOLDER")?;
    unshare(UnshareFlags::NEWNET)?;
    for arguments in ["link add nlmon0 type nlmon", "link set nlmon0 up"] {
        run("ip", arguments, "");
    }
    // Loads the module before the capture starts.
    drop(Client::open()?);
    let mut monitor = Monitor::open("nlmon0")?;
    let origin = origin()?;
    monitor.drain(libc::NETLINK_NETFILTER)?;
    for (name, arguments) in CASES {
        let golden = record(&mut monitor, name, arguments, &origin)?;
        golden.record(Path::new(&folder))?;
    }
    Ok(())
}

fn record(
    monitor: &mut Monitor,
    name: &str,
    words: &str,
    origin: &str,
) -> Result<Golden, Box<dyn Error>> {
    let (arguments, input) = words.split_once('\n').unwrap_or((words, ""));
    let success = output("ipset", arguments, input).status.success();
    let refused = name.ends_with("refused") || name == "add_unfit";
    if success == refused {
        return Err(format!("ipset {words}: success is {success}").into());
    }
    let mut messages = Vec::new();
    for datagram in monitor.drain(libc::NETLINK_NETFILTER)? {
        for (direction, command, bytes) in messages::parse(&datagram).iter().filter_map(message_of)
        {
            // ipset requests the protocol first, for every command.
            if command == Command::Protocol && name != "create_bitmap_port" {
                continue;
            }
            let message = Message::decode(command, bytes)?;
            messages.push(Captured {
                direction,
                meaning: explain(&message),
                bytes: bytes.to_vec(),
            });
        }
    }
    // ipset itself rejects some commands, without a message to the kernel.
    if messages.is_empty() && name != "add_unfit" {
        return Err(format!("ipset {words}: no netlink message was captured").into());
    }
    Ok(Golden {
        name: name.to_owned(),
        command: format!("ipset {}", words.trim_end().replace('\n', "; ")),
        origin: origin.to_owned(),
        messages,
    })
}

/// Returns the versions of ipset and the kernel.
fn origin() -> Result<String, Box<dyn Error>> {
    let version = run("ipset", "--version", "");
    let version = version.split([' ', ',']).nth(1).unwrap_or("?");
    Ok(support::golden::origin("ipset", version)?)
}

/// Returns the direction, the command and the payload of a message of ipset.
fn message_of<'a>(message: &messages::Message<'a>) -> Option<(Direction, Command, &'a [u8])> {
    if message.kind == NLMSG_ERROR {
        let (errno, request) = message.payload.split_first_chunk()?;
        let errno = -i32::from_ne_bytes(*errno);
        let request = messages::parse(request).into_iter().next()?;
        let (_, command, payload) = message_of(&request).filter(|_| errno != 0)?;
        return Some((Direction::Refused(errno), command, payload));
    }
    let [subsystem, command] = message.kind.to_be_bytes();
    let command = Command::try_from(command)
        .ok()
        .filter(|_| subsystem == SUBSYSTEM)?;
    let direction = match message.flags & NLM_F_REQUEST {
        0 => Direction::FromKernel,
        _ => Direction::ToKernel,
    };
    Some((direction, command, message.payload))
}
