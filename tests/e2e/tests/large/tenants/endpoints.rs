//! A Service with very many endpoints.

use std::net::IpAddr;
use std::time::Instant;

use e2e::{Outcome, Path, Protocol, ensure, objects, within};
use serde_json::{Value, json};

use super::scene::{LIMIT, Scene, address, endpoint};

/// Number of EndpointSlices of the Service.
const SLICES: u8 = 100;

/// Number of endpoints in each, as Kubernetes' own controller creates them.
const EACH: u8 = 100;

/// Maximum number of lines of the log.
const LINES: usize = 500;

pub(super) fn harmless() -> Outcome {
    let scene = Scene::start()?;
    // The slices have no effect without their Service, so that one change adds all endpoints.
    (0..SLICES).try_for_each(|number| scene.api.create(&slice(number, 0)))?;
    let service = objects::service("wide", &[address(4)], &Protocol::ALL);
    let begin = Instant::now();
    let what = "a Service of 3 ports with 10,000 endpoints";
    scene.beside(what, &[service])?;
    has(
        &scene,
        Protocol::ALL.len() * usize::from(SLICES) * usize::from(EACH),
    )?;
    println!("it is served after at most {:.1?}", begin.elapsed());
    scene.phase("and 1,000 of them replaced", || {
        (0..10).try_for_each(|number| scene.api.replace(&slice(number, 1)))
    })?;
    scene.phase("and the Service deleted", || {
        scene.api.delete(Path::Services, "wide")
    })?;
    has(&scene, 0)?;
    scene.is_ready()?;
    let lines = scene.lines();
    ensure(lines <= LINES, || {
        format!("the log has {lines} lines, more than {LINES}")
    })
}

/// Returns the slice of this number. Each number and each `turn` has other endpoints.
fn slice(number: u8, turn: u8) -> Value {
    let pod = |each: u8| IpAddr::from([10, 101 + turn, number, each + 1]);
    let pods: Vec<IpAddr> = (0..EACH).map(pod).collect();
    let mut slice = objects::slice("wide", &pods, &Protocol::ALL);
    slice["metadata"]["name"] = json!(format!("wide-{number}"));
    slice
}

/// Waits until the wide Service has this many real servers. Those of the good Service do not count.
fn has(scene: &Scene, wanted: usize) -> Outcome {
    within(LIMIT, || {
        let table = scene.world.tool("ipvsadm -S -n")?;
        let good = endpoint(0).to_string();
        let (good, _) = good.rsplit_once('.').unwrap_or_default();
        let good = format!("-r {good}.");
        let lines = table.lines().filter(|line| line.starts_with("-a"));
        let count = lines.filter(|line| !line.contains(&good)).count();
        ensure(count == wanted, || {
            format!("expected {wanted} real servers, found {count}")
        })
    })
}
