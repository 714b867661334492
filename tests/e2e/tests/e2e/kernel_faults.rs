//! Faults at the interface to the kernel: hanging programs, locks of other programs, a reloaded
//! module, disabled IPv6.

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

/// Time limit for the end after SIGTERM: a second, and as much again for a busy machine.
const STOP: Duration = Duration::from_secs(2);
/// Time after which the daemon kills an iptables program.
const PROGRAM_LIMIT: Duration = Duration::from_secs(25);
/// Time for which the xtables lock is held.
const LOCKED: Duration = Duration::from_secs(60);
/// Time limit for the next list. After a slow list, the daemon pauses for up to a minute.
const NEXT_LIST: Duration = Duration::from_secs(75);
/// Time limit for the daemon to recover after a fault, including its longest pause.
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

/// Fails unless the liveness probe succeeds. (`/healthz` also depends on the Node, and
/// these API servers have none.)
fn is_live(world: &World) -> Outcome {
    let daemon = SocketAddr::from(([127, 0, 0, 1], 10256));
    get_text(&world.node, daemon, "/livez").map(drop)
}

/// Returns the rules of our chains.
fn rules(world: &World) -> Outcome<String> {
    let saved = world.tool("iptables-save -t nat")?;
    Ok((saved.lines().filter(|line| line.starts_with("-A KUBE-")))
        .map(|line| format!("{line}\n"))
        .collect())
}

/// Replacements for the iptables programs that change rules, first in the search path. They hang
/// while the file `hang` exists.
struct Programs {
    folder: PathBuf,
    hang: PathBuf,
}

impl Programs {
    /// The argument of the `sleep` of a hanging program, which identifies it.
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
                // The first `sleep` is a child that keeps the outputs open.
                let script = format!(
                    "#!/bin/sh\nif [ -e {} ]; then sleep {sleep} & sleep {sleep}; fi\nexec {real} \"$@\"\n",
                    hang.display(),
                    sleep = Self::SLEEP,
                );
                let path = world.write(&format!("programs/{name}"), &script)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                    .context(|| format!("making {} executable", path.display()))?;
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
        done.context(|| format!("writing or removing {}", self.hang.display()))
    }

    /// Returns the processes of hanging programs, with their states: `S` for sleeping, `Z` for a
    /// zombie.
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

/// Starts a cluster whose daemon uses [`Programs`]. Returns once the daemon has synchronised.
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

/// Starts the cluster, makes the programs hang, and waits until one does. Also returns the earlier
/// rules.
fn hang() -> Outcome<(Cluster, Programs, String)> {
    let (cluster, programs) = prepare()?;
    let before = rules(&cluster.world)?;
    ensure(!before.is_empty(), || "the daemon wrote no rules")?;
    // The next list detects missing rules.
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
    ensure(left.is_empty(), || format!("processes are left: {left:?}"))
}

/// A hanging program delays other changes only until it is killed. Only a new IPv4 address waits
/// for the IPv4 rules: without them, all clients could reach it.
fn changes_while_hanging() -> Outcome {
    let (cluster, programs, before) = hang()?;
    let first = Programs::hanging();
    cluster.set_endpoints(&[1])?;
    cluster.api.create_all(&cluster.world.web("other", 2))?;
    let gone = format!("-a -t 10.96.1.1:80 -r {}:", cluster.world.pods[0].v4);
    within(2 * PROGRAM_LIMIT, || {
        let ipvs = cluster.world.tables()?.ipvs;
        let serves = (ipvs.iter()).any(|line| line.starts_with(&gone) && !Tables::is_drained(line));
        ensure(!serves, || "the removed endpoint is still served")?;
        let is_added = (ipvs.iter()).any(|line| line.starts_with("-A -t [fd00:10:96::102]:80"));
        ensure(is_added, || "the new IPv6 address is not served")
    })?;
    let words = ["did not end within 25 s and was killed"];
    cluster.daemon.wait_for_log(SETTLED, &words)?;
    let left: Vec<_> = first.intersection(&Programs::hanging()).copied().collect();
    ensure(left.is_empty(), || {
        format!("processes were not killed: {left:?}")
    })?;
    is_live(&cluster.world)?;

    programs.set_hanging(false)?;
    within(SETTLED + PROGRAM_LIMIT, || {
        ensure(rules(&cluster.world)? == before, || "rules are missing")
    })?;
    eventually(none_is_left)?;
    cluster.converges()
}

/// Programs that would hang delay nothing while the rules are correct: a new Service needs only set
/// entries.
fn changes_without_new_rules() -> Outcome {
    let (cluster, programs) = prepare()?;
    programs.set_hanging(true)?;
    cluster.set_endpoints(&[1])?;
    cluster.soon_served_by(&[1])?;
    cluster.api.create_all(&cluster.world.web("other", 2))?;
    cluster.converges()?;
    for family in [Family::V4, Family::V6] {
        let pods = cluster.ask(family, 2, 6).complete()?.by_pod().len();
        ensure(pods == 2, || {
            format!("expected answers of 2 pods, found {pods}")
        })?;
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

    // The programs work again, and a new daemon repairs the rules.
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
        // Each change may wait for one program, which waits up to 5 s for the lock.
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
                    format!("change {changes}: {} is a real server: {serves}", pod.name)
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
    // Other cases may have left schedulers and connections, which take time to end.
    within(SETTLED, || {
        for module in holders_of_ip_vs() {
            cluster.world.tool(&format!("modprobe -r {module}"))?;
        }
        cluster.world.tool("modprobe -r ip_vs").map(|_| ())
    })?;
    cluster.world.tool("modprobe ip_vs")?;
    ensure(conntrack()? == "0\n", || "the module was not reloaded")?;
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
        || "the log does not mention the reloaded module",
    )?;
    ensure(
        !log.contains("has no scheduler"),
        || "the log reports a missing scheduler",
    )?;
    within(SETTLED, || is_live(&cluster.world))
}

/// Both families are configured, and IPv6 is disabled: IPv4 is served, and one finding, whose line
/// has its code twice, reports IPv6.
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
    // Time for several lists and attempts.
    thread::sleep(Duration::from_secs(15));
    is_live(&world)?;
    let log = daemon.log();
    let count = log.matches("KIV0408").count() / 2;
    ensure(count == 1, || {
        format!("expected one finding about IPv6, found {count}")
    })?;
    ensure(
        !log.contains("CAP_NET_ADMIN"),
        || "the log reports a missing capability",
    )?;

    // When IPv6 is enabled, it is served without a restart.
    world.node.sysctl("ipv6/conf/all/disable_ipv6", "0")?;
    let all = world.rendered(&manifests, &config)?;
    within(SETTLED, || world.tables()?.are(&all))
}

/// Returns the modules that use `ip_vs`.
fn holders_of_ip_vs() -> Vec<String> {
    let holders = std::fs::read_dir("/sys/module/ip_vs/holders");
    let names = holders.into_iter().flatten().flatten();
    names
        .map(|holder| holder.file_name().to_string_lossy().into_owned())
        .collect()
}
