//! Programs that a user could use instead, from Debian's packages, with the same tables.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ipvs::client::Client;
use ipvs::{AddressFamily, VirtualServerKey};
use model::{DEVICE, Desired, text};
use support::program::run;

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
    let file = folder.join("keepalived.conf");
    fs::write(&file, keepalived_conf(desired))?;
    let servers = &desired.tables.virtual_servers;
    let Some((last, entry)) = servers.iter().next_back() else {
        return Err("the tables have nothing for keepalived".into());
    };
    let mut client = Client::open()?;
    let pid = |name: &str| -> PathBuf { folder.join(name) };
    let began = Instant::now();
    let mut daemon = Command::new("keepalived")
        .args(["--dont-fork", "--check", "--log-console", "--use-file"])
        .arg(&file)
        .arg("--pid")
        .arg(pid("keepalived.pid"))
        .arg("--checkers_pid")
        .arg(pid("checkers.pid"))
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = began + Duration::from_secs(1_200);
    let took = loop {
        if client.real_servers(last)?.len() >= entry.real_servers.len() {
            break Ok(began.elapsed());
        }
        if let Some(status) = daemon.try_wait()? {
            return Err(format!("keepalived ended by itself: {status}").into());
        }
        if Instant::now() > deadline {
            break Err("keepalived did not finish in 20 minutes".into());
        }
        thread::sleep(Duration::from_millis(2));
    };
    // keepalived would delete its entries one by one; deleting the namespace deletes all at once.
    // SAFETY: no pointers are involved; the group is that of the processes started here.
    unsafe { libc::kill(-daemon.id().cast_signed(), libc::SIGKILL) };
    daemon.wait()?;
    took
}

fn keepalived_conf(desired: &Desired) -> String {
    let mut conf = String::from("global_defs {\n  checker_log_all_failures false\n}\n");
    for (key, entry) in &desired.tables.virtual_servers {
        let VirtualServerKey::Address { address, port, .. } = key else {
            continue;
        };
        conf += &format!(
            "virtual_server {address} {port} {{\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n"
        );
        for real in entry.real_servers.keys() {
            conf += &format!(
                "  real_server {} {} {{\n    weight 1\n  }}\n",
                real.address, real.port
            );
        }
        conf += "}\n";
    }
    conf
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
