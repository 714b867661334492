//! A daemon that is killed during a synchronisation.

use std::time::{Duration, Instant};

use e2e::{Family, LongLived, Outcome, World, ensure, eventually, objects, within};
use libtest_mimic::Trial;

use crate::case;

/// Maximum number of attempts to kill the daemon neither too early nor too late.
const ATTEMPTS: usize = 10;
const SERVICES: u16 = 1000;
const REALS: u8 = 10;

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "crash::killed_in_the_middle_of_a_sync_of_1000_services",
        killed,
    )]
}

fn killed() -> Outcome {
    let world = World::build(3)?;
    let config = world.config(&[])?;
    let few = world.web("web", 1);
    let manifests = world.write_objects("manifests/all.json", few.clone())?;
    let arguments: e2e::Arguments<'_> = &[&"--manifests", &manifests, &"--config", &config];
    let mut daemon = world.daemon(arguments)?;
    let small = world.rendered(&manifests, &config)?;
    eventually(|| world.tables()?.are(&small))?;

    let connections = [Family::V4, Family::V6]
        .map(|family| LongLived::open(&world.client, family.virtual_server(1)));
    let all = few.into_iter().chain(objects::many(SERVICES, REALS));
    world.write_objects("manifests/all.json", all.collect())?;
    let large = world.rendered(&manifests, &config)?;
    let whole = usize::from(SERVICES) * (1 + usize::from(REALS));
    ensure(large.ipvs.len() == small.ipvs.len() + whole, || {
        format!(
            "the large table has an unexpected number of lines: {}",
            large.ipvs.len()
        )
    })?;

    let mut caught = None;
    for _ in 0..ATTEMPTS {
        kill_when_begun(&world, &mut daemon, small.ipvs.len())?;
        let now = world.tables()?.ipvs.len();
        if small.ipvs.len() < now && now < large.ipvs.len() {
            caught = Some(now);
            break;
        }
        // Too late, or too early: start again from the small table.
        world.write_objects("manifests/small.json", world.web("web", 1))?;
        let small_file = world.path("manifests/small.json");
        world
            .run_daemon(&[&"--manifests", &small_file, &"--config", &config, &"--once"])?
            .exits(0)?;
        daemon = world.daemon(arguments)?;
    }
    ensure(
        caught.is_some(),
        || "the daemon was never killed during a synchronisation",
    )?;

    let lines = connections
        .iter()
        .map(|connection| connection.as_ref().map(LongLived::lines).unwrap_or(0))
        .min();
    let _daemon = world.daemon(arguments)?;
    // This takes some seconds, or up to a minute on an emulated machine.
    within(Duration::from_secs(60), || world.tables()?.are(&large))?;
    for connection in connections {
        let connection = connection?;
        ensure(
            Some(connection.lines()) > lines,
            || "a connection is stalled",
        )?;
        connection.close()?;
    }
    Ok(())
}

/// Kills the daemon as soon as the table has grown. The kernel's text file is fast to read, and
/// accurate enough.
fn kill_when_begun(world: &World, daemon: &mut e2e::Process, small: usize) -> Outcome {
    let begun = world.node.run(|| {
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end {
            let table = std::fs::read_to_string("/proc/thread-self/net/ip_vs");
            if table.unwrap_or_default().lines().count() > small + 20 {
                return true;
            }
        }
        false
    });
    daemon.kill()?;
    ensure(begun, || "the daemon did not begin to add virtual servers")
}
