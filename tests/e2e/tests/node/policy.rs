//! Policies of Services: shares, limits, affinity and drains, shown by packets.

mod changes;
mod flows;
mod forwarding;
mod limits;
mod locality;
mod scope;
mod shares;
mod slow_start;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Outcome, Probe, Protocol, ensure, within};
use libtest_mimic::Trial;
use serde_json::{Map, Value};

pub(crate) use self::slow_start::Growth;
use crate::case;
use crate::stage::{Stage, own_configuration};

/// Number of answers of each pod.
type Counts = BTreeMap<String, usize>;

/// Time limit for a change of a policy to reach the kernel: if it reads another label, all Services
/// are listed again.
const SOON: Duration = Duration::from_secs(5);

/// Every annotation is allowed.
const ALLOWED: &str = "allowedAnnotations: [scheduler, schedulerFlags, weights, locality, \
     connectionLimits, onePacket, affinityPrefix, affinityScope, drainTimeout, udpDrainTimeout, slowStart, \
     forwarding]";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "policy::new_connections_are_shared_by_weight",
            shares::of_new_connections,
        ),
        case(
            "policy::open_connections_are_shared_by_weight",
            shares::of_open_connections,
        ),
        case(
            "policy::locality_prefers_the_node_then_the_zone",
            locality::shares,
        ),
        case(
            "policy::connections_spill_over_to_the_zone_then_elsewhere",
            locality::spill_over,
        ),
        case(
            "policy::an_endpoint_gets_no_connection_between_its_limits",
            limits::of_connections,
        ),
        case(
            "policy::each_datagram_is_scheduled_on_its_own",
            flows::one_packet,
        ),
        case(
            "policy::clients_of_one_prefix_reach_one_endpoint",
            flows::affinity_prefix,
        ),
        case(
            "policy::scope_service_gives_a_client_one_endpoint",
            scope::service,
        ),
        case(
            "policy::scope_port_gives_each_port_its_own_affinity",
            scope::port,
        ),
        case("policy::scope_changes_break_no_connection", scope::live),
        case(
            "policy::each_service_drains_for_its_own_time",
            changes::drains,
        ),
        case(
            "policy::changes_take_effect_and_break_no_connection",
            changes::live,
        ),
        case(
            "policy::a_new_endpoint_starts_slowly",
            slow_start::of_a_new_endpoint,
        ),
        case(
            "policy::direct_endpoints_answer_the_client_themselves",
            forwarding::direct,
        ),
        case(
            "policy::tunnels_of_every_kind_reach_their_endpoint",
            forwarding::tunnels,
        ),
        case(
            "policy::source_ranges_apply_to_direct_routing",
            forwarding::source_ranges,
        ),
    ]
}

/// Returns a configuration that allows every annotation, with these other fields.
fn configuration(fields: &[&str]) -> String {
    own_configuration(&[&[ALLOWED], fields].concat())
}

/// Returns the Service with annotations `kube-ipvs.io/NAME`.
pub(crate) fn annotated(mut service: Value, annotations: &[(&str, &str)]) -> Value {
    let annotations: Map<String, Value> = (annotations.iter())
        .map(|(name, value)| (format!("kube-ipvs.io/{name}"), (*value).into()))
        .collect();
    service["metadata"]["annotations"] = annotations.into();
    service
}

/// Returns the part of `total` that a pod with `weight` gets if all weights have this `sum`.
fn part(total: usize, weight: usize, sum: usize) -> f64 {
    total as f64 * weight as f64 / sum as f64
}

/// Fails unless each pod has its part of the answers by weight, give or take `tolerance` of the
/// part.
fn ensure_shares(
    counts: &Counts,
    weights: &[(&str, usize)],
    tolerance: impl Fn(f64) -> f64,
) -> Outcome {
    let total: usize = counts.values().sum();
    let sum: usize = weights.iter().map(|(_, weight)| weight).sum();
    for (pod, weight) in weights {
        let expected = part(total, *weight, sum);
        let found = counts.get(*pod).copied().unwrap_or(0);
        ensure(
            (found as f64 - expected).abs() <= tolerance(expected),
            || {
                format!(
                    "{pod} with weight {weight} got {found} of {total}, expected {expected:.0} ± {:.0}: {counts:?}",
                    tolerance(expected)
                )
            },
        )?;
    }
    let named = counts
        .keys()
        .all(|pod| weights.iter().any(|(name, _)| name == pod));
    ensure(named, || format!("other pods answered: {counts:?}"))
}

/// Returns the answers to `count` requests over TCP, one after the other.
fn ask(stage: &Stage, target: SocketAddr, count: usize) -> Outcome<Counts> {
    let probe = Probe::new(&stage.world.client, Protocol::Tcp, target);
    let tally = probe.ask(count).complete()?;
    let counts = tally.by_pod().into_iter();
    Ok(counts.map(|(pod, count)| (pod.to_owned(), count)).collect())
}

/// Counts the pods.
fn count<'a>(pods: impl IntoIterator<Item = &'a str>) -> Counts {
    let mut counts = Counts::new();
    for pod in pods {
        *counts.entry(pod.to_owned()).or_default() += 1;
    }
    counts
}

/// Waits until the kernel's table has these lines of `ipvsadm -Sn`.
fn soon_has(stage: &Stage, lines: &[String]) -> Outcome {
    within(SOON, || {
        let tables = stage.world.tables()?;
        let missing: Vec<_> = (lines.iter())
            .filter(|line| !tables.ipvs.contains(*line))
            .collect();
        ensure(missing.is_empty(), || {
            format!("missing {missing:?} in {tables}")
        })
    })
}

/// Returns the line of a TCP virtual server without session affinity.
fn virtual_server(target: SocketAddr, scheduler: &str) -> String {
    format!("-A -t {target} -s {scheduler}")
}

/// Returns the line of a TCP real server at [`e2e::PORT`].
fn real_server(stage: &Stage, target: SocketAddr, pod: &str, weight: u32) -> Outcome<String> {
    let address = stage.pod(pod)?.v4;
    let port = e2e::PORT;
    Ok(format!("-a -t {target} -r {address}:{port} -m -w {weight}"))
}
