//! Mistakes of users: they are reported, and all else is programmed.

use std::time::Duration;

use e2e::{
    Failure, Family, Outcome, Process, Protocol, World, ensure, eventually, objects, within,
};
use libtest_mimic::Trial;
use serde_json::json;

use crate::case;

const SOON: Duration = Duration::from_secs(5);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("mistakes::broken_yaml", broken_yaml),
        case(
            "mistakes::a_service_with_an_invalid_address",
            invalid_address,
        ),
        case("mistakes::an_unknown_scheduler", unknown_scheduler),
        case("mistakes::no_cap_net_admin", no_capability),
        case("mistakes::a_broken_configuration", broken_configuration),
    ]
}

/// Writes a good Service and another file `name`. Fails unless `--once` ends with `status`, a line
/// of the daemon's log has all `words`, and the good Service is served.
fn beside(name: &str, text: &str, status: i32, words: &[&str]) -> Outcome {
    let world = World::build(2)?;
    let config = world.config(&[])?;
    let good = world.write_objects("manifests/good.json", world.web("web", 1))?;
    let expected = world.rendered(&good, &config)?;
    world.write(&format!("manifests/{name}"), text)?;
    let directory = world.path("manifests");
    let once: e2e::Arguments<'_> = &[&"--manifests", &directory, &"--config", &config, &"--once"];
    let ran = world.run_daemon(once)?.exits(status)?;
    let told = |log: &str| {
        let told = log
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)));
        ensure(told, || format!("no line with {words:?} in\n{log}"))
    };
    told(&ran.err)?;
    world.tables()?.are(&expected)?;

    // The same applies to a daemon that keeps running, also when the mistake is corrected.
    world.run_daemon(&[&"--cleanup"])?.exits(0)?;
    let daemon = world.daemon(&[&"--manifests", &directory, &"--config", &config])?;
    eventually(|| world.tables()?.are(&expected))?;
    daemon.wait_for_log(SOON, words)?;
    world.write_objects(&format!("manifests/{name}"), world.web("shop", 2))?;
    let both = world.rendered(&directory, &config)?;
    within(SOON, || world.tables()?.are(&both))
}

fn broken_yaml() -> Outcome {
    let text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: broken\n spec: [\n";
    beside("broken.yaml", text, 1, &["ERROR", "broken.yaml", ":5:"])
}

fn invalid_address() -> Outcome {
    let mut service = objects::service("odd", &[Family::V4.virtual_address(9)], &[Protocol::Tcp]);
    service["spec"]["clusterIP"] = json!("10.96.1.999");
    service["spec"]["clusterIPs"] = json!(["10.96.1.999"]);
    // The exit status is 0: no operation failed.
    let words = ["ERROR", "default/odd", "spec.clusterIPs[0]", "10.96.1.999"];
    beside("odd.json", &service.to_string(), 0, &words)
}

/// The kernel lacks the scheduler: every virtual server fails, and each message names the missing
/// module.
fn unknown_scheduler() -> Outcome {
    let world = World::build(2)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let config = world.config(&["scheduler: nonesuch"])?;
    let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    daemon.wait_for_log(
        SOON,
        &["ERROR", "10.96.1.1:80", "nonesuch", "ip_vs_nonesuch"],
    )?;
    let tables = world.tables()?;
    ensure(tables.ipvs.is_empty(), || format!("{tables}"))?;
    drop(daemon);
    // With an existing scheduler, all Services are served.
    let config = world.config(&["scheduler: wrr"])?;
    world
        .run_daemon(&[&"--manifests", &manifests, &"--config", &config, &"--once"])?
        .exits(0)?;
    let expected = world.rendered(&manifests, &config)?;
    world.tables()?.are(&expected)
}

fn no_capability() -> Outcome {
    let world = World::build(0)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let mut command = world.daemon_command();
    command.arg("--manifests").arg(&manifests);
    support::program::drop_net_admin(&mut command);
    let mut process = Process::start("kube-ipvsd", command)?;
    let status = process.wait(SOON)?;
    ensure(!status.success(), || "it ended as if all were well")?;
    let log = process.log();
    ensure(log.contains("CAP_NET_ADMIN"), || log)
}

/// An invalid configuration is rejected, and nothing is changed.
fn broken_configuration() -> Outcome {
    let world = World::build(0)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let config = world.config(&[
        "scheduler: rr",
        "syncPeriod: soon",
        "excludeCIDRs: [nonsense]",
    ])?;
    let ran = world.run_daemon(&[&"--manifests", &manifests, &"--config", &config, &"--once"])?;
    ensure(ran.status != 0, || "it ended as if all were well")?;
    for word in ["ipvs.syncPeriod", "ipvs.excludeCIDRs"] {
        if !ran.err.contains(word) {
            return Err(Failure::new(format!("no {word} in {}", ran.err)));
        }
    }
    world.tables()?.are(&e2e::Tables::default())
}
