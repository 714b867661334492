//! Programs that a user could use instead, from Debian's packages, with the same tables.

mod keepalived;

use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ipvs::AddressFamily;
use model::{DEVICE, Desired, text};
use support::program::run;

pub(crate) use self::keepalived::Keepalived;
use crate::Outcome;
use crate::shape::Shape;

/// Measures `ipvsadm -R`.
pub(crate) fn ipvsadm_restore(desired: &Desired) -> Outcome<Duration> {
    // When sorted, -A lines come before -a lines, as ipvsadm requires.
    timed(
        "ipvsadm",
        &["-R"],
        &text::virtual_server_lines(&desired.tables),
    )
}

/// Measures `ipvsadm -Ln` of a table with the `desired` servers.
pub(crate) fn ipvsadm_list(desired: &Desired) -> Outcome<Duration> {
    let began = Instant::now();
    let listed = Command::new("ipvsadm").arg("-Ln").output()?;
    let took = began.elapsed();
    let printed = listed.stdout.iter().filter(|byte| **byte == b'\n').count();
    let expected = text::virtual_server_lines(&desired.tables).len();
    if !listed.status.success() || printed < expected {
        return Err(format!(
            "ipvsadm -Ln: {}, {printed} lines of {expected}",
            listed.status
        )
        .into());
    }
    Ok(took)
}

/// Measures `ipset restore`.
pub(crate) fn ipset_restore(desired: &Desired) -> Outcome<Duration> {
    timed("ipset", &["restore"], &text::set_lines(&desired.tables))
}

/// Measures `iptables-restore` and `ip6tables-restore`. The sets exist already.
pub(crate) fn iptables_restore(desired: &Desired) -> Outcome<Duration> {
    let mut sum = Duration::ZERO;
    for (family, rules) in &desired.tables.rules {
        let program = match family {
            AddressFamily::Ipv4 => "iptables-restore",
            AddressFamily::Ipv6 => "ip6tables-restore",
        };
        sum += timed(program, &["--noflush"], &text::rule_lines(rules))?;
    }
    Ok(sum)
}

/// Measures `ip -batch` with an `address add` for each address.
pub(crate) fn ip_batch(desired: &Desired) -> Outcome<Duration> {
    run("ip", &format!("link add {DEVICE} type dummy"), "");
    let lines: Vec<String> = (desired.tables.addresses.iter())
        .map(|address| format!("address add {address}/{} dev {DEVICE}", bits(*address)))
        .collect();
    timed("ip", &["-batch", "-"], &lines)
}

/// Measures one local route to the networks of all Services, which makes the same addresses the
/// node's own, and others too.
pub(crate) fn local_routes(shape: Shape) -> Outcome<Duration> {
    run("ip", &format!("link add {DEVICE} type dummy"), "");
    run("ip", &format!("link set {DEVICE} up"), "");
    let lines: Vec<String> = (shape.cluster_ips(0).iter())
        .map(|address| format!("route add local {} dev {DEVICE}", network(*address)))
        .collect();
    timed("ip", &["-batch", "-"], &lines)
}

fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(_) => "10.96.0.0/12".to_owned(),
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            format!("{first:x}:{second:x}::/64")
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Measures `keepalived`, without checks of real servers and without VRRP, from its start to its
/// last entry in the table.
pub(crate) fn keepalived(desired: &Desired, folder: &Path) -> Outcome<Duration> {
    let servers = &desired.tables.virtual_servers;
    let servers: Vec<_> = (servers.iter())
        .map(|(key, entry)| (*key, entry.real_servers.keys().copied().collect()))
        .collect();
    let began = Instant::now();
    Keepalived::start(&servers, "", folder)?.wait(Duration::from_secs(1_200))?;
    Ok(began.elapsed())
}

/// Runs a program that reads `lines` and returns the duration.
fn timed(program: &str, arguments: &[&str], lines: &[String]) -> Outcome<Duration> {
    let text = lines.join("\n") + "\n";
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let status = child.wait()?;
    match status.success() {
        true => Ok(began.elapsed()),
        false => Err(format!("{program} {}: {status}", arguments.join(" ")).into()),
    }
}
