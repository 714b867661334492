//! Repairs after other programs change the tables of 10,000 Services.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use e2e::{Failure, Outcome, Process, Tables, World, ensure, objects, scaled, within};
use libtest_mimic::Trial;

use crate::case;

const SERVICES: u16 = 10_000;
const REALS: u8 = 1;
/// Time limit for the first synchronisation.
const FIRST: Duration = Duration::from_secs(120);
/// Time limit for the repair of a deleted device, in addition to the time that the kernel needs to
/// add its addresses.
const AT_ONCE: Duration = Duration::from_secs(2);
const SYNC_PERIOD: Duration = Duration::from_secs(10);
/// Time limit for a list of this size on a busy machine.
const BUSY: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "repair::of_10000_services_after_other_programs_deleted_parts",
        repaired,
    )]
}

fn repaired() -> Outcome {
    let world = World::build(1)?;
    let config = world.config(&[&format!("syncPeriod: {}s", SYNC_PERIOD.as_secs())])?;
    let manifests = world.write_objects("all.json", objects::many(SERVICES, REALS))?;
    let begin = Instant::now();
    let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    let count = usize::from(SERVICES);
    within(FIRST, || has_addresses(&world, count))?;
    daemon.wait_for_log(FIRST, &["synced: "])?;
    println!(
        "{SERVICES} Services are programmed after {:.1?}",
        begin.elapsed()
    );
    let before = State::of(&world)?;

    let adding = time_to_add(&world)?;
    world.tool("ip link delete kube-ipvs0")?;
    let begin = Instant::now();
    within(FIRST, || are_local(&world))?;
    let took = begin.elapsed();
    has_addresses(&world, count)?;
    println!(
        "kube-ipvs0 with {SERVICES} addresses is restored after {took:.1?}; `ip` alone adds as many in {adding:.1?}"
    );
    ensure(took <= scaled(AT_ONCE) + adding, || {
        format!("the repair of kube-ipvs0 took {took:.1?}")
    })?;
    within(SYNC_PERIOD + BUSY, || before.is_back(&world))?;

    parts(&world, &daemon, &before)
}

/// Deletions of an address, a set entry and a rule, each with a command that succeeds once it is
/// repaired.
const DELETIONS: [(&str, &str); 3] = [
    (
        "ip address delete 10.96.128.7/32 dev kube-ipvs0",
        "ip address show to 10.96.128.7 dev kube-ipvs0",
    ),
    (
        "ipset del KUBE-CLUSTER-IP 10.96.128.8,tcp:80",
        "ipset test KUBE-CLUSTER-IP 10.96.128.8,tcp:80",
    ),
    (
        "iptables -t nat -D KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
        "iptables -t nat -C KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
    ),
];

fn parts(world: &World, daemon: &Process, before: &State) -> Outcome {
    for (deletion, look) in DELETIONS {
        let begin = Instant::now();
        world.tool(deletion)?;
        within(SYNC_PERIOD + BUSY, || {
            let found = world.tool(look)?;
            // If there is no such address, `ip` prints nothing; the other commands fail.
            ensure(
                !look.starts_with("ip address") || !found.is_empty(),
                || "the address is missing",
            )
        })?;
        println!("repaired after {:.1?}: {deletion}", begin.elapsed());
    }
    before.is_back(world)?;
    let log = daemon.log();
    ensure(
        log.contains("repairing drift"),
        || "the log does not mention the drift",
    )
}

/// The node's tables as standard tools print them.
struct State {
    tables: Tables,
    sets: String,
    rules: String,
}

impl State {
    fn of(world: &World) -> Outcome<Self> {
        let sorted = |text: String| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        };
        let rules = world.tool("iptables-save -t nat")?;
        // The other lines are timestamps and packet counters.
        let rules: Vec<&str> = (rules.lines())
            .filter(|line| line.starts_with("-A"))
            .collect();
        Ok(Self {
            tables: world.tables()?,
            sets: sorted(world.tool("ipset save")?),
            rules: rules.join("\n"),
        })
    }

    fn is_back(&self, world: &World) -> Outcome {
        let now = Self::of(world)?;
        now.tables.are(&self.tables)?;
        ensure(
            now.sets == self.sets,
            || "the sets differ from those before",
        )?;
        ensure(
            now.rules == self.rules,
            || "the rules differ from those before",
        )
    }
}

fn has_addresses(world: &World, count: usize) -> Outcome {
    let text = world.tool("ip -oneline -4 address show")?;
    let there = (text.lines())
        .filter(|line| line.contains(" kube-ipvs0 "))
        .count();
    ensure(there == count, || {
        format!("kube-ipvs0 has {there} of {count} addresses")
    })
}

/// Fails unless a sample of the addresses can be bound. Unlike `ip`, which lists all of them, this
/// uses little processor time.
fn are_local(world: &World) -> Outcome {
    let numbers = (0..SERVICES).step_by(500).chain([SERVICES - 1]);
    world.node.run(|| {
        for number in numbers {
            let [high, low] = number.to_be_bytes();
            let address = [10, 96, 128 + high, low];
            UdpSocket::bind((Ipv4Addr::from(address), 0))
                .map_err(|error| Failure::new(format!("cannot bind {address:?}: {error}")))?;
        }
        Ok(())
    })
}

/// Returns the time that the kernel needs to add as many addresses to another dummy device.
fn time_to_add(world: &World) -> Outcome<Duration> {
    let mut lines = String::new();
    for number in 0..SERVICES {
        let [high, low] = number.to_be_bytes();
        let _ = writeln!(lines, "address add 10.200.{high}.{low}/32 dev other0");
    }
    let batch = world.write("addresses.batch", &lines)?;
    world.tool("ip link add other0 type dummy")?;
    let begin = Instant::now();
    world.tool(&format!("ip -batch {}", batch.display()))?;
    let took = begin.elapsed();
    world.tool("ip link delete other0")?;
    Ok(took)
}
