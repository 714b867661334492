//! IPVS without Kubernetes: keepalived and kube-ipvs make the same entries of one configuration.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use e2e::{
    Context as _, Family, Outcome, Probe, Process, Protocol, World, ensure, eventually, within,
};
use libtest_mimic::Trial;

use crate::case;

/// A configuration of keepalived and the files that it includes.
macro_rules! configurations {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../crates/ipvsctl/tests/data/keepalived/", $name)))),*]
    };
}

const CONFIGURATIONS: [(&str, &str); 11] = configurations![
    "direct-routing.conf",
    "dns.conf",
    "dns-pool.inc",
    "fwmark.conf",
    "group.conf",
    "ipv6.conf",
    "ldap.conf",
    "smtp.conf",
    "sorry.conf",
    "tunnel.conf",
    "web-nat.conf"
];

/// Time in which keepalived and kube-ipvsd write all entries.
const SOON: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("import::keepalived_and_kube_ipvs_agree", agree),
        case("import::servers_without_kubernetes_are_served", served),
    ]
}

/// Settings of keepalived that depend on checks of real servers: its entries are made at once
/// without them.
const CHECKS: [&str; 16] = [
    "DNS_CHECK",
    "HTTP_GET",
    "MISC_CHECK",
    "SMTP_CHECK",
    "TCP_CHECK",
    "alpha",
    "hysteresis",
    "inhibit_on_failure",
    "notify_down",
    "omega",
    "quorum",
    "quorum_down",
    "quorum_up",
    "sorry_server",
    "sorry_server_inhibit",
    "natmask",
];

/// Returns a configuration without checks.
fn without_checks(text: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    let mut skips = false;
    for line in text.lines() {
        let bare = line.split(['#', '!']).next().unwrap_or_default();
        let keyword = bare.split_ascii_whitespace().next().unwrap_or_default();
        let braces = |brace| bare.matches(brace).count();
        // A block may begin on the next line.
        let is_check = depth == 0 && CHECKS.contains(&keyword);
        if is_check || skips {
            depth += braces('{');
            depth = depth.saturating_sub(braces('}'));
            skips = depth > 0 || (is_check && keyword.ends_with("CHECK"));
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Returns the entries of the kernel. ipvsadm-save does not print thresholds.
fn entries(world: &World) -> Outcome<BTreeSet<String>> {
    // A guest lacks the script ipvsadm-save.
    let text = world.tool("ipvsadm -S -n")?;
    Ok(text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect())
}

fn same(world: &World, expected: &BTreeSet<String>) -> Outcome {
    let found = entries(world)?;
    ensure(found == *expected, || {
        format!("found\n{found:#?}\nexpected\n{expected:#?}")
    })
}

/// Runs keepalived without VRRP until the table has `expected`.
fn keepalived(world: &World, name: &str, expected: &BTreeSet<String>) -> Outcome {
    let mut command: Command = world.node.command("keepalived");
    command
        .args(["--dont-fork", "--check", "--log-console", "--log-detail"])
        .arg("--use-file")
        .arg(world.path(name))
        .arg("--pid")
        .arg(world.path("keepalived.pid"))
        .arg("--checkers_pid")
        .arg(world.path("checkers.pid"));
    let mut process = Process::start("keepalived", command)?;
    let written = within(SOON, || same(world, expected));
    // It deletes its entries.
    process.terminate()?;
    written.context(|| format!("keepalived with {name}"))?;
    within(SOON, || same(world, &BTreeSet::new())).context(|| "after keepalived".to_owned())
}

fn agree() -> Outcome {
    let world = World::build(1)?;
    let config = world.config(&[])?;
    for (name, text) in CONFIGURATIONS {
        world.write(name, &without_checks(text))?;
    }
    for (name, _) in CONFIGURATIONS {
        if !name.ends_with(".conf") {
            continue;
        }
        let imported = world.ipvsctl(&[&"import", &world.path(name)])?.exits(0)?;
        let file = world.write("manifests/servers.yaml", &imported.out)?;
        let exported = world.ipvsctl(&[&"export", &"-f", &file, &"--config", &config])?;
        let without_thresholds = |line: &str| match line.split_once(" -x ") {
            Some((line, _)) => line.to_owned(),
            None => line.to_owned(),
        };
        let expected: BTreeSet<String> = exported
            .exits(0)?
            .out
            .lines()
            .map(without_thresholds)
            .collect();
        ensure(!expected.is_empty(), || format!("{name}: no entries"))?;
        keepalived(&world, name, &expected)?;

        let apply = |file| world.ipvsctl(&[&"apply", &"-y", &"-f", file, &"--config", &config]);
        apply(&file)?.exits(0)?;
        same(&world, &expected).context(|| format!("ipvsctl apply of {name}"))?;
        world.tool("ipvsadm -C")?;
    }
    Ok(())
}

/// The daemon serves a VirtualServer with packets, adopts an entry, and deletes it with its object.
/// No Service, EndpointSlice or Node exists.
fn served() -> Outcome {
    let world = World::build(2)?;
    let config = world.config(&[])?;
    let target = Family::V4.virtual_server(1);
    let (address, port) = (target.ip(), target.port());
    let servers = |number: usize| {
        let real_servers: String = (world.endpoints(Family::V4).iter().take(number))
            .map(|at| format!("  - {{address: {at}, port: 8080}}\n"))
            .collect();
        format!(
            "apiVersion: kube-ipvs.io/v1alpha1\nkind: VirtualServer\nmetadata: {{name: web}}\nspec:\n  \
             address: {address}\n  port: {port}\n  scheduler: rr\n  realServers:\n{real_servers}"
        )
    };
    let mark = "---\napiVersion: kube-ipvs.io/v1alpha1\nkind: VirtualServer\nmetadata: {name: mark}\nspec: \
                {fwmark: 7, scheduler: rr}\n";
    world.write("manifests/web.yaml", &(servers(2) + mark))?;
    world.tool("ipvsadm -A -f 7 -s wlc")?;
    let directory = world.path("manifests");
    let mut daemon = world.daemon(&[&"--manifests", &directory, &"--config", &config])?;
    let has = |lines: &[&str], missing: &[&str]| {
        let found = entries(&world)?;
        let is_found = |line: &&&str| found.contains(**line);
        let right =
            lines.iter().all(|line| is_found(&line)) && !missing.iter().any(|line| is_found(&line));
        ensure(right, || format!("{found:#?}"))
    };
    eventually(|| has(&["-A -f 7 -s rr"], &["-A -f 7 -s wlc"]))?;
    let probe = Probe::new(&world.client, Protocol::Tcp, target);
    eventually(|| probe.ask(4).complete().map(drop))?;
    world.write("manifests/web.yaml", &servers(1))?;
    eventually(|| has(&[], &["-A -f 7 -s rr"]))?;
    let log = daemon.log();
    let about_kubernetes = ["KIV0113", "KIV0401", "KIV0402"];
    ensure(
        about_kubernetes.iter().all(|code| !log.contains(code)),
        || format!("the daemon reports something of Kubernetes:\n{log}"),
    )?;

    // The next daemon deletes the mark of an object that went away meanwhile, and no other one.
    world.write("manifests/web.yaml", &(servers(1) + mark))?;
    eventually(|| has(&["-A -f 7 -s rr"], &[]))?;
    daemon.terminate()?;
    world.write("manifests/web.yaml", &servers(1))?;
    world.tool("ipvsadm -A -f 8 -s wlc")?;
    let _daemon = world.daemon(&[&"--manifests", &directory, &"--config", &config])?;
    eventually(|| has(&["-A -f 8 -s wlc"], &["-A -f 7 -s rr"]))
}
