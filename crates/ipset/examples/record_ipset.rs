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

#[expect(dead_code, reason = "only the tests read goldens")]
#[path = "../tests/goldens/format.rs"]
mod format;

use std::error::Error;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use ipset::client::Client;
use ipset::codec::{Command, Message, SUBSYSTEM};
use netlink::Monitor;
use netlink_packet_core::{NLM_F_REQUEST, NLMSG_ERROR};

use format::{Captured, FROM_KERNEL, Golden, REFUSED, TO_KERNEL, explain};

/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

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
    // SAFETY: the process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    for arguments in ["link add nlmon0 type nlmon", "link set nlmon0 up"] {
        if !run("ip", arguments, "")?.0 {
            return Err(format!("ip {arguments} failed").into());
        }
    }
    // Loads the module before the capture starts.
    drop(Client::open()?);
    let mut monitor = Monitor::open("nlmon0")?;
    let origin = origin()?;
    monitor.drain(libc::NETLINK_NETFILTER)?;
    for (name, arguments) in CASES {
        let golden = record(&mut monitor, name, arguments, &origin)?;
        let path = Path::new(&folder).join(format!("{name}.txt"));
        std::fs::write(&path, golden.print())?;
        println!("{}: {} messages", path.display(), golden.messages.len());
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
    let (success, _) = run("ipset", arguments, input)?;
    let refused = name.ends_with("refused") || name == "add_unfit";
    if success == refused {
        return Err(format!("ipset {words}: success is {success}").into());
    }
    let mut messages = Vec::new();
    for datagram in monitor.drain(libc::NETLINK_NETFILTER)? {
        for (direction, command, bytes) in messages_of(&datagram) {
            // ipset requests the protocol first, for every command.
            if command == Command::Protocol && name != "create_bitmap_port" {
                continue;
            }
            let message = Message::decode(command, &bytes)?;
            messages.push(Captured {
                direction,
                meaning: explain(&message),
                bytes,
            });
        }
    }
    // ipset itself rejects some commands, without a message to the kernel.
    if messages.is_empty() && name != "add_unfit" {
        return Err(format!("ipset {words}: no netlink message was captured").into());
    }
    Ok(Golden {
        command: format!("ipset {}", words.trim_end().replace('\n', "; ")),
        origin: origin.to_owned(),
        messages,
    })
}

fn run(program: &str, arguments: &str, input: &str) -> io::Result<(bool, String)> {
    let mut child = Process::new(program)
        .args(arguments.split_ascii_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.success(), text))
}

/// Returns the versions of ipset and the kernel.
fn origin() -> Result<String, Box<dyn Error>> {
    let (_, version) = run("ipset", "--version", "")?;
    let version = version.split([' ', ',']).nth(1).unwrap_or("?");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "ipset {}, Linux {}",
        version.trim_start_matches('v'),
        kernel.trim()
    ))
}

/// Returns the messages of ipset: direction, command and payload.
fn messages_of(datagram: &[u8]) -> Vec<(String, Command, Vec<u8>)> {
    let mut messages = Vec::new();
    let mut rest = datagram;
    while let Some(length) = length_of(rest) {
        messages.extend(message_of(&rest[..length]));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

fn length_of(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    (HEADER_BYTES..=bytes.len())
        .contains(&length)
        .then_some(length)
}

fn message_of(message: &[u8]) -> Option<(String, Command, Vec<u8>)> {
    let kind = |message: &[u8]| u16::from_ne_bytes([message[4], message[5]]);
    if kind(message) == NLMSG_ERROR {
        let errno = i32::from_ne_bytes(message.get(16..20)?.try_into().ok()?);
        let request = message.get(20..)?;
        let request = request.get(..length_of(request)?)?;
        let (_, command, payload) = message_of(request).filter(|_| errno != 0)?;
        return Some((format!("{REFUSED}{}", -errno), command, payload));
    }
    let [subsystem, command] = kind(message).to_be_bytes();
    let command = Command::try_from(command)
        .ok()
        .filter(|_| subsystem == SUBSYSTEM)?;
    let is_request = u16::from_ne_bytes([message[6], message[7]]) & NLM_F_REQUEST != 0;
    let direction = if is_request { TO_KERNEL } else { FROM_KERNEL };
    Some((
        direction.to_owned(),
        command,
        message[HEADER_BYTES..].to_vec(),
    ))
}
