//! A step about the policy of a Service: weights, and a health check.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Stage;
use super::output::Output;
use super::shop::CART;
use crate::failure::{Failure, Outcome, ensure};
use crate::probe::Probe;
use crate::wait::within;
use crate::world::Family;

const SOON: Duration = Duration::from_secs(5);
/// The health check fails after two probes.
const CHECK: &str = "type=tcp, interval=200ms, timeout=200ms, rise=1, fall=2";
/// Rule by which a pod drops all its packets to other addresses.
const SILENT: &str = "priority 1 blackhole";

/// Shows weights, and a pod that fails its health check and recovers.
pub(super) fn weighed_and_checked(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("The policy of a Service: weights 1 and 3, and a health check");
    let world = &stage.world;
    let pod = |name: &str| {
        let pod = world.pods.iter().find(|pod| pod.name == name);
        pod.ok_or_else(|| Failure::new(format!("no pod {name}")))
    };
    let heavy = pod("cart-2")?;
    let weights = format!("{}=3, default=1", Family::V4.of(heavy));
    let annotations = [
        ("scheduler", "wrr"),
        ("weights", &weights),
        ("health-check", CHECK),
    ];
    let mut service = CART.objects(world).swap_remove(0);
    for (name, value) in annotations {
        let name = format!("kube-ipvs.io/{name}");
        output.line(&format!("{name}: {value}"));
        service["metadata"]["annotations"][name] = json!(value);
    }
    stage.api.replace(&service)?;
    // Packets to a pod that drops its answers are lost.
    let probe = Probe {
        timeout: Duration::from_millis(300),
        ..CART.probe(world, Family::V4)
    };
    let shares = |light: usize, heavy: usize| {
        let tally = probe.ask(light + heavy).complete()?;
        let by_pod = tally.by_pod();
        let of = |name: &str| by_pod.get(name).copied().unwrap_or(0);
        ensure((of("cart-1"), of("cart-2")) == (light, heavy), || {
            format!("expected {light} and {heavy} connections, found {by_pod:?}")
        })?;
        Ok(tally)
    };
    let question = CART.question(Family::V4);
    within(SOON, || shares(1, 3))?;
    output.count(&question, &shares(10, 30)?);

    heavy.namespace.ip(&[format!("rule add {SILENT}")])?;
    let began = Instant::now();
    within(SOON, || shares(4, 0))?;
    output.line(&format!(
        "cart-2 answers no more. After {} ms it gets no more connections.",
        began.elapsed().as_millis()
    ));
    output.count(&question, &shares(20, 0)?);

    heavy.namespace.ip(&[format!("rule delete {SILENT}")])?;
    within(SOON, || shares(1, 3))?;
    output.line("It answers again, and has its share again.");
    Ok(())
}
