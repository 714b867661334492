//! IPv6 disabled by a setting of the node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;

use e2e::{Outcome, World, ensure, get, get_text, within};
use libtest_mimic::Trial;

use crate::case;

/// The daemon's address for health pages.
const HEALTH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10_256);

/// Maximum number of log lines in a minute without IPv6. A storm of retries would write thousands.
const FEW_LINES: usize = 60;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "families::without_ipv6_ipv4_is_served_with_one_warning",
            disabled,
        ),
        case(
            "families::ipv6_that_goes_while_the_daemon_runs_is_left_out",
            switched,
        ),
    ]
}

fn set_ipv6(world: &World, disabled: bool) -> Outcome {
    let value = if disabled { "1" } else { "0" };
    world.node.sysctl("ipv6/conf/all/disable_ipv6", value)
}

/// Writes two dual-stack Services.
fn objects(world: &World) -> Outcome<std::path::PathBuf> {
    let mut objects = world.web("web", 1);
    objects.extend(world.web("shop", 2));
    world.write_objects("web.json", objects)
}

fn of_ipv6(world: &World) -> Outcome<usize> {
    let tables = world.tables()?;
    let addresses = tables
        .addresses
        .iter()
        .filter(|line| line.contains("fd00:"));
    let servers = tables.ipvs.iter().filter(|line| line.contains('['));
    Ok(addresses.count() + servers.count())
}

/// Fails unless the health pages have status 200 and show these families.
fn shows(world: &World, families: &[&str]) -> Outcome {
    for path in ["/livez", "/healthz"] {
        let (status, page) = get(&world.node, HEALTH, path)?;
        let shown: Vec<String> = (page["status"].as_object().into_iter().flatten())
            .map(|(family, _)| family.clone())
            .collect();
        ensure(status == 200 && shown == families, || {
            format!("{path}: expected status 200 and {families:?}, found {status} {page}")
        })?;
    }
    Ok(())
}

fn disabled() -> Outcome {
    let world = World::build(2)?;
    set_ipv6(&world, true)?;
    let manifests = objects(&world)?;
    let config = world.config(&["syncPeriod: 5s"])?;
    once_succeeds(&world, &manifests, &config)?;
    let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    world.serves_ipv4(&manifests, &config)?;
    // Time for several audits.
    thread::sleep(Duration::from_secs(30));
    shows(&world, &["IPv4"])?;
    get_text(&world.node, HEALTH, "/readyz")?;
    ensure(of_ipv6(&world)? == 0, || "the tables have IPv6 entries")?;
    let log = daemon.log();
    let warnings = log.matches("KIV0408 warning").count();
    ensure(
        warnings == 1 && log.contains("net.ipv6.conf.all.disable_ipv6 is 1"),
        || format!("expected one warning KIV0408 with the setting, found {warnings}; log:\n{log}"),
    )?;
    let lines = log.lines().count();
    ensure(lines < FEW_LINES && !log.contains("ERROR"), || {
        format!("the log has {lines} lines, or an error:\n{log}")
    })?;
    world.doctor_misses_ipv6(&config)?;

    set_ipv6(&world, false)?;
    within(Duration::from_secs(60), || {
        let there = of_ipv6(&world)?;
        ensure(there > 0, || "the tables have no IPv6 entries yet")?;
        shows(&world, &["IPv4", "IPv6"])
    })?;
    within(Duration::from_secs(60), || {
        let expected = world.rendered(&manifests, &config)?;
        world.tables()?.are(&expected)
    })
}

/// Fails unless `--once` succeeds twice.
fn once_succeeds(world: &World, manifests: &Path, config: &Path) -> Outcome {
    for _ in 0..2 {
        let ran =
            world.run_daemon(&[&"--manifests", &manifests, &"--config", &config, &"--once"])?;
        ran.exits(0)?;
    }
    Ok(())
}

fn switched() -> Outcome {
    let world = World::build(2)?;
    let manifests = objects(&world)?;
    let config = world.config(&["syncPeriod: 5s"])?;
    let mut daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    within(Duration::from_secs(20), || {
        let expected = world.rendered(&manifests, &config)?;
        world.tables()?.are(&expected)
    })?;
    shows(&world, &["IPv4", "IPv6"])?;

    set_ipv6(&world, true)?;
    within(Duration::from_secs(20), || {
        ensure(
            of_ipv6(&world)? == 0,
            || "the tables still have IPv6 entries",
        )
    })?;
    world.serves_ipv4(&manifests, &config)?;
    let before = daemon.log().lines().count();
    thread::sleep(Duration::from_secs(20));
    shows(&world, &["IPv4"])?;
    let log = daemon.log();
    let lines = log.lines().count() - before;
    ensure(
        lines < FEW_LINES && log.matches("KIV0408 warning").count() == 1,
        || {
            format!(
                "expected one warning KIV0408 and fewer than {FEW_LINES} new lines, found {lines} lines; log:\n{log}"
            )
        },
    )?;
    let status = daemon.terminate()?;
    ensure(status.success(), || format!("ended with {status}"))?;

    world.cleans_up(&config)
}
