//! Datagrams from one source port: the connection table must not keep a flow at a removed pod.

use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Family, Flow, Outcome, ensure, within};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, node_address, with_slices};

/// Time within which a flow must leave a removed pod. Clients that keep their source port depend on
/// this, for instance DNS and syslog.
pub(crate) const LEFT: Duration = Duration::from_secs(1);

pub(crate) fn trials() -> Vec<Trial> {
    let slow = Duration::from_millis(100);
    let fast = Duration::from_millis(1);
    vec![
        case(
            "udp::a_flow_leaves_a_removed_endpoint_within_a_second",
            move || leaves(slow, false),
        ),
        case(
            "udp::a_flow_leaves_an_endpoint_that_terminates_and_does_not_serve_within_a_second",
            move || leaves(slow, true),
        ),
        case(
            "udp::a_flow_of_1000_datagrams_a_second_leaves_too",
            move || leaves(fast, false),
        ),
        case(
            "udp::a_flow_that_began_before_there_were_endpoints_is_served",
            began_before,
        ),
        case(
            "udp::a_flow_leaves_an_endpoint_that_was_removed_while_the_daemon_was_stopped",
            missed_removal,
        ),
    ]
}

pub(crate) fn dns() -> Service {
    Service::new("dns", 1)
}

fn leaves(period: Duration, terminating: bool) -> Outcome {
    let stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        with_slices(world, dns(), dns().outside(), &["pod1"])
    })?;
    let flows = flows_at_pod1(&stage, period)?;
    let endpoints: &[&str] = if terminating {
        &["!pod1", "pod2"]
    } else {
        &["pod2"]
    };
    stage.set_endpoints(dns(), endpoints)?;
    let begin = Instant::now();
    // A killed pod sends nothing, not even ICMP.
    if !terminating {
        stage.pod("pod1")?.namespace.ip(&["link set eth0 down"])?;
    }
    for flow in &flows {
        let rest = LEFT.saturating_sub(begin.elapsed());
        within(rest, || answered_by(flow, "pod2"))?;
    }
    sleep(Duration::from_millis(300));
    flows.iter().try_for_each(|flow| answered_by(flow, "pod2"))
}

fn began_before() -> Outcome {
    let stage = Stage::start(&["pod1"], &[], |world| {
        with_slices(world, dns(), dns().outside(), &[])
    })?;
    let flows = flows(&stage, Duration::from_millis(50))?;
    sleep(Duration::from_secs(1));
    for flow in &flows {
        ensure(flow.last().is_none() && flow.sent() > 3, || {
            format!("{:?} after {} datagrams", flow.last(), flow.sent())
        })?;
    }
    stage.set_endpoints(dns(), &["pod1"])?;
    for flow in &flows {
        within(LEFT, || answered_by(flow, "pod1"))?;
    }
    Ok(())
}

/// A daemon that starts does not see earlier removals: it must find the flows in the kernel.
fn missed_removal() -> Outcome {
    let mut stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        with_slices(world, dns(), dns().outside(), &["pod1"])
    })?;
    let flows = flows_at_pod1(&stage, Duration::from_millis(100))?;
    stage.stop_daemon()?;
    stage.set_endpoints(dns(), &["pod2"])?;
    sleep(Duration::from_secs(1));
    // The tables keep working without the daemon, and so do the flows.
    flows
        .iter()
        .try_for_each(|flow| answered_by(flow, "pod1"))?;
    stage.start_daemon(&[])?;
    for flow in &flows {
        within(LEFT, || answered_by(flow, "pod2"))?;
    }
    sleep(Duration::from_millis(300));
    flows.iter().try_for_each(|flow| answered_by(flow, "pod2"))
}

/// Starts [`flows`] that `pod1`, the only endpoint, answers.
pub(crate) fn flows_at_pod1(stage: &Stage, period: Duration) -> Outcome<Vec<Flow>> {
    stage.soon_served_by(dns(), Address::ClusterIp, &["pod1"])?;
    let flows = flows(stage, period)?;
    for flow in &flows {
        within(Duration::from_secs(3), || answered_by(flow, "pod1"))?;
    }
    Ok(flows)
}

/// Starts flows to every kind of address in both families, from the client and, to the cluster IP,
/// from the node.
fn flows(stage: &Stage, period: Duration) -> Outcome<Vec<Flow>> {
    let mut flows = Vec::new();
    let kinds = [Address::ClusterIp, Address::LoadBalancer, Address::External];
    for family in FAMILIES {
        for kind in kinds {
            let target = dns().at(kind, family);
            flows.push(Flow::start(&stage.world.client, target, period)?);
        }
        let port = dns().node_port(e2e::Protocol::Udp);
        let target = (node_address(family), port).into();
        flows.push(Flow::start(&stage.world.client, target, period)?);
        let target = dns().at(Address::ClusterIp, family);
        flows.push(Flow::start(&stage.world.node, target, period)?);
        if period < Duration::from_millis(10) && family == Family::V4 {
            // A single processor cannot handle more flows.
            break;
        }
    }
    if period < Duration::from_millis(10) {
        flows.truncate(1);
    }
    Ok(flows)
}

pub(crate) fn answered_by(flow: &Flow, pod: &str) -> Outcome {
    let last = flow.last();
    let answered =
        (last.as_ref()).is_some_and(|(name, ago)| name == pod && *ago < Duration::from_millis(400));
    ensure(answered, || {
        format!(
            "expected an answer of {pod}, found {last:?} after {} datagrams",
            flow.sent()
        )
    })
}
