//! Faults at the kernel's edge: programs that hang, locks that others hold, a module loaded again, IPv6 that is disabled.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{
    ApiServer, Context as _, Family, Outcome, Process, Tables, World, ensure, eventually, get_text,
    scaled, within,
};
use libtest_mimic::Trial;

use crate::case;
use crate::cluster::Cluster;

/// Time limit of the end after SIGTERM: a second, and as much again for a machine that is busy.
const STOP: Duration = Duration::from_secs(2);
/// After how long a program of iptables is killed.
const PROGRAM_LIMIT: Duration = Duration::from_secs(25);
/// Time for which the lock of x_tables is held.
const LOCKED: Duration = Duration::from_secs(60);
/// After how long the next list comes at the latest: a list that took long is followed by a pause of a minute at most.
const NEXT_LIST: Duration = Duration::from_secs(75);
/// Time for the daemon to settle once a fault is over, its longest pause included.
const SETTLED: Duration = Duration::from_secs(30);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "kernel_faults::changes_while_iptables_restore_hangs",
            changes_while_hanging,
        ),
        case(
            "kernel_faults::a_service_comes_while_iptables_restore_would_hang",
            changes_without_new_rules,
        ),
        case(
            "kernel_faults::stop_while_iptables_restore_hangs",
            stopped_while_hanging,
        ),
        case("kernel_faults::xtables_lock_held_for_60_s", locked),
        case("kernel_faults::ip_vs_reloaded_under_the_daemon", reloaded),
        case(
            "kernel_faults::ipv6_disabled_before_the_start",
            without_ipv6,
        ),
    ]
}

/// The probe by which the daemon would be killed answers that all is well. (`/healthz` speaks of the Node too, and
/// these API servers have none.)
fn is_live(world: &World) -> Outcome {
    let daemon = SocketAddr::from(([127, 0, 0, 1], 10256));
    get_text(&world.node, daemon, "/livez").map(drop)
}

/// Rules of chains that are ours.
fn rules(world: &World) -> Outcome<String> {
    let saved = world.tool("iptables-save -t nat")?;
    Ok((saved.lines().filter(|line| line.starts_with("-A KUBE-")))
        .map(|line| format!("{line}\n"))
        .collect())
}

/// Programs by the names of iptables, first in the search path. While `hang` exists, those that change rules hang.
struct Programs {
    folder: PathBuf,
    hang: PathBuf,
}

impl Programs {
    /// The argument of the `sleep` with which they hang, by which it is found.
    const SLEEP: &str = "98765";

    fn new(world: &World) -> Outcome<Self> {
        let hang = world.path("hang");
        let folder = world.path("programs");
        for family in ["iptables", "ip6tables"] {
            for variant in ["legacy", "nft"] {
                let name = format!("{family}-{variant}-restore");
                let real = format!("/usr/sbin/{name}");
                if !std::path::Path::new(&real).exists() {
                    continue;
                }
                // The first `sleep` is a child that holds the outputs open.
                let script = format!(
                    "#!/bin/sh\nif [ -e {} ]; then sleep {sleep} & sleep {sleep}; fi\nexec {real} \"$@\"\n",
                    hang.display(),
                    sleep = Self::SLEEP,
                );
                let path = world.write(&format!("programs/{name}"), &script)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                    .context(|| format!("making {} a program", path.display()))?;
            }
        }
        Ok(Self { folder, hang })
    }

    fn daemon(&self, world: &World, api: &ApiServer, config: &std::path::Path) -> Outcome<Process> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = world.daemon_command();
        command.arg("--kubeconfig").arg(&api.kubeconfig);
        command.arg("--config").arg(config);
        command.env("PATH", format!("{}:{path}", self.folder.display()));
        Process::start("kube-ipvsd", command)
    }

    fn set_hanging(&self, hangs: bool) -> Outcome {
        let done = if hangs {
            fs::write(&self.hang, "")
        } else {
            fs::remove_file(&self.hang)
        };
        done.context(|| "making programs hang")
    }

    /// States of the processes with which they hang: `S` for one that sleeps, `Z` for a zombie.
    fn hanging() -> BTreeSet<(u32, char)> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            let (line, status) = (read("cmdline"), read("stat"));
            let (before, after) = status.rsplit_once(") ").unwrap_or_default();
            let state = after.chars().next().unwrap_or('?');
            let is_program = before.contains("(iptables-") || before.contains("(ip6tables-");
            if line.contains(Self::SLEEP) || (is_program && state == 'Z') {
                found.insert((id, state));
            }
        }
        found
    }
}

/// A cluster whose daemon writes rules by programs that can be made to hang. It has synchronised.
fn prepare() -> Outcome<(Cluster, Programs)> {
    let world = World::build(2)?;
    let load = world.write_objects("load.json", world.web("web", 1))?;
    let config = world.config(&["syncPeriod: 2s"])?;
    let api = ApiServer::start(&world, &[&load])?;
    let programs = Programs::new(&world)?;
    let daemon = programs.daemon(&world, &api, &config)?;
    let cluster = Cluster {
        world,
        api,
        daemon,
        config,
    };
    cluster.converges()?;
    Ok((cluster, programs))
}

/// The same; one of the programs hangs, and others would. The text is the rules that there were.
fn hang() -> Outcome<(Cluster, Programs, String)> {
    let (cluster, programs) = prepare()?;
    let before = rules(&cluster.world)?;
    ensure(!before.is_empty(), || "there are no rules")?;
    // The next list finds that rules are missing.
    programs.set_hanging(true)?;
    cluster.world.tool("iptables -t nat -F KUBE-SERVICES")?;
    within(NEXT_LIST, one_hangs)?;
    Ok((cluster, programs, before))
}

fn one_hangs() -> Outcome {
    ensure(!Programs::hanging().is_empty(), || "no program hangs")
}

fn none_is_left() -> Outcome {
    let left = Programs::hanging();
    ensure(left.is_empty(), || format!("{left:?} are left"))
}

/// A program that hangs holds up other changes until it is killed, and not longer. A new IPv4 address alone waits for the IPv4
/// rules: without them it would be open to everybody.
fn changes_while_hanging() -> Outcome {
    let (cluster, programs, before) = hang()?;
    let first = Programs::hanging();
    cluster.set_endpoints(&[1])?;
    cluster.api.create_all(&cluster.world.web("other", 2))?;
    let gone = format!("-a -t 10.96.1.1:80 -r {}:", cluster.world.pods[0].v4);
    within(2 * PROGRAM_LIMIT, || {
        let ipvs = cluster.world.tables()?.ipvs;
        let serves = (ipvs.iter()).any(|line| line.starts_with(&gone) && !Tables::is_drained(line));
        ensure(!serves, || "the endpoint that left is served")?;
        let is_added = (ipvs.iter()).any(|line| line.starts_with("-A -t [fd00:10:96::102]:80"));
        ensure(is_added, || "the new IPv6 address is not served")
    })?;
    let words = ["did not end within 25 s and was killed"];
    cluster.daemon.wait_for_log(SETTLED, &words)?;
    let left: Vec<_> = first.intersection(&Programs::hanging()).copied().collect();
    ensure(left.is_empty(), || format!("{left:?} were not killed"))?;
    is_live(&cluster.world)?;

    programs.set_hanging(false)?;
    within(SETTLED + PROGRAM_LIMIT, || {
        ensure(rules(&cluster.world)? == before, || "rules are missing")
    })?;
    eventually(none_is_left)?;
    cluster.converges()
}

/// A program that hangs holds up nothing while the rules are as they should be: a new Service needs entries of sets alone.
fn changes_without_new_rules() -> Outcome {
    let (cluster, programs) = prepare()?;
    programs.set_hanging(true)?;
    cluster.set_endpoints(&[1])?;
    cluster.soon_served_by(&[1])?;
    cluster.api.create_all(&cluster.world.web("other", 2))?;
    cluster.converges()?;
    for family in [Family::V4, Family::V6] {
        let pods = cluster.ask(family, 2, 6).complete()?.by_pod().len();
        ensure(pods == 2, || format!("{pods} pods answer"))?;
    }
    none_is_left()?;
    is_live(&cluster.world)?;
    programs.set_hanging(false)
}

fn stopped_while_hanging() -> Outcome {
    let (mut cluster, programs, before) = hang()?;
    let start = Instant::now();
    let status = cluster.daemon.terminate()?;
    let took = start.elapsed();
    ensure(status.success(), || format!("ended with {status}"))?;
    ensure(took < scaled(STOP), || format!("the stop took {took:?}"))?;
    eventually(none_is_left)?;

    // The program answers again, and a new daemon settles.
    programs.set_hanging(false)?;
    cluster.daemon = programs.daemon(&cluster.world, &cluster.api, &cluster.config)?;
    within(SETTLED, || {
        ensure(rules(&cluster.world)? == before, || "rules are missing")
    })?;
    cluster.converges()
}

fn locked() -> Outcome {
    let cluster = Cluster::start(3, &["syncPeriod: 2s"])?;
    let before = rules(&cluster.world)?;
    // Rules are missing, and the lock is held before the daemon can see it.
    cluster.daemon.signal(libc::SIGSTOP)?;
    cluster.world.tool("iptables -t nat -F KUBE-SERVICES")?;
    let lock = File::create("/run/xtables.lock").context(|| "opening the lock")?;
    lock.lock().context(|| "taking the lock")?;
    let end = Instant::now() + LOCKED;
    cluster.daemon.signal(libc::SIGCONT)?;

    let mut changes = 0_usize;
    while Instant::now() < end {
        // Each change may wait for one program, which waits for the lock for 5 s.
        let pods: &[usize] = if changes.is_multiple_of(2) {
            &[1]
        } else {
            &[0, 2]
        };
        cluster.set_endpoints(pods)?;
        within(Duration::from_secs(15), || {
            let ipvs = cluster.world.tables()?.ipvs;
            for (number, pod) in cluster.world.pods.iter().enumerate() {
                let real = format!("-a -t 10.96.1.1:80 -r {}:", pod.v4);
                let serves =
                    (ipvs.iter()).any(|line| line.starts_with(&real) && !Tables::is_drained(line));
                ensure(serves == pods.contains(&number), || {
                    format!("change {changes}: {} serves: {serves}", pod.name)
                })?;
            }
            Ok(())
        })?;
        changes += 1;
        thread::sleep(Duration::from_secs(2));
    }
    ensure(
        rules(&cluster.world)? != before,
        || "rules were written without the lock",
    )?;
    lock.unlock().context(|| "giving the lock back")?;
    within(SETTLED, || {
        ensure(rules(&cluster.world)? == before, || "rules are missing")
    })?;
    cluster.set_endpoints(&[0, 1, 2])?;
    cluster.converges()?;
    within(SETTLED, || is_live(&cluster.world))
}

fn reloaded() -> Outcome {
    let cluster = Cluster::start(2, &["syncPeriod: 2s"])?;
    let before = cluster.world.tables()?;
    let conntrack = || cluster.world.tool("cat /proc/sys/net/ipv4/vs/conntrack");
    ensure(conntrack()? == "1\n", || "connections are not tracked")?;
    cluster.daemon.signal(libc::SIGSTOP)?;
    cluster.world.tool("ipvsadm -C")?;
    // Other cases may have left schedulers, and connections that are about to end.
    within(SETTLED, || {
        for module in holders_of_ip_vs() {
            cluster.world.tool(&format!("modprobe -r {module}"))?;
        }
        cluster.world.tool("modprobe -r ip_vs").map(|_| ())
    })?;
    cluster.world.tool("modprobe ip_vs")?;
    ensure(conntrack()? == "0\n", || "the module is the old one")?;
    cluster.daemon.signal(libc::SIGCONT)?;
    within(SETTLED, || cluster.world.tables()?.are(&before))?;
    within(SETTLED, || {
        ensure(conntrack()? == "1\n", || "connections are not tracked")
    })?;
    cluster.served_by(&["pod1", "pod2"])?;
    cluster.set_endpoints(&[1])?;
    cluster.converges()?;
    cluster.served_by(&["pod2"])?;
    let log = cluster.daemon.log();
    ensure(
        log.contains("the module ip_vs was loaded again"),
        || "the log does not tell",
    )?;
    ensure(
        !log.contains("has no scheduler"),
        || "a scheduler was said to be unknown",
    )?;
    within(SETTLED, || is_live(&cluster.world))
}

/// Both families are asked for: IPv4 is served, and one finding, whose line names its code twice, reports the other.
fn without_ipv6() -> Outcome {
    let world = World::build(2)?;
    for name in ["all", "default"] {
        world
            .node
            .sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
    }
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let config = world.config(&["syncPeriod: 2s"])?;
    let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    world.serves_ipv4(&manifests, &config)?;
    // Several lists and attempts.
    thread::sleep(Duration::from_secs(15));
    is_live(&world)?;
    let log = daemon.log();
    let told = log.matches("KIV0408").count() / 2;
    ensure(told == 1, || format!("IPv6 was reported {told} times"))?;
    ensure(
        !log.contains("CAP_NET_ADMIN"),
        || "a capability is said to be missing",
    )?;

    // Once it is allowed, it is served by itself.
    world.node.sysctl("ipv6/conf/all/disable_ipv6", "0")?;
    let all = world.rendered(&manifests, &config)?;
    within(SETTLED, || world.tables()?.are(&all))
}

/// Modules that use `ip_vs`.
fn holders_of_ip_vs() -> Vec<String> {
    let holders = std::fs::read_dir("/sys/module/ip_vs/holders");
    let names = holders.into_iter().flatten().flatten();
    names
        .map(|holder| holder.file_name().to_string_lossy().into_owned())
        .collect()
}
