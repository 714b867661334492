//! Traffic of Services and endpoints in `/metrics`.

use std::time::Duration;

use e2e::{Outcome, Probe, Protocol, ensure, get_text, within};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{METRICS, Stage, own_configuration, with_slices};

/// Time limit for the metrics to be up to date. The daemon reads the counters every ten seconds.
const SOON: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 6;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("traffic_metrics::say_what_ipvsadm_says", as_ipvsadm),
        case("traffic_metrics::are_absent_if_turned_off", turned_off),
    ]
}

fn stage(field: &str) -> Outcome<Stage> {
    let stage = Stage::configured(&["pod1", "pod2"], &own_configuration(&[field]), |world| {
        let service = Service::new("web", 1);
        with_slices(world, service, service.outside(), &["pod1", "pod2"])
    })?;
    stage.soon_served_by(
        Service::new("web", 1),
        Address::ClusterIp,
        &["pod1", "pod2"],
    )?;
    Ok(stage)
}

/// Returns the sum of the TCP samples of `name`.
fn sum(metrics: &str, name: &str) -> u64 {
    let samples = metrics.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('{'))
            && line.contains("service_namespace=\"default\"")
            && line.contains("service_name=\"web\"")
            && line.contains("protocol=\"TCP\"")
    });
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Returns the numbers of connections that `ipvsadm` counts: to TCP virtual servers and to their
/// real servers.
fn connections(stage: &Stage) -> Outcome<[u64; 2]> {
    let listed = stage
        .world
        .tool("ipvsadm --list --numeric --stats --exact")?;
    let mut sums = [0, 0];
    let mut tcp = false;
    for line in listed.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [first, _, count, ..] = words[..] else {
            continue;
        };
        let real = first == "->";
        tcp = if real { tcp } else { first == "TCP" };
        if let (true, Ok(count)) = (tcp, count.parse::<u64>()) {
            sums[usize::from(real)] += count;
        }
    }
    Ok(sums)
}

fn as_ipvsadm() -> Outcome {
    let stage = stage("serviceMetrics: endpoint")?;
    for family in FAMILIES {
        let target = Service::new("web", 1).at(Address::ClusterIp, family);
        Probe::new(&stage.world.client, Protocol::Tcp, target)
            .ask(CONNECTIONS)
            .complete()?;
    }
    let least = 2 * CONNECTIONS as u64;
    within(SOON, || {
        // The kernel updates the displayed counters every two seconds.
        let counted = connections(&stage)?;
        ensure(counted.iter().all(|sum| *sum >= least), || {
            format!("expected {least} connections, ipvsadm counts {counted:?}")
        })?;
        let metrics = get_text(&stage.world.node, METRICS, "/metrics")?;
        let names = [
            "kubeipvs_service_connections_total",
            "kubeipvs_endpoint_connections_total",
        ];
        let found = names.map(|name| sum(&metrics, name));
        ensure(found == counted, || {
            format!("the metrics count {found:?}, ipvsadm {counted:?}")
        })?;
        for name in [
            "kubeipvs_service_bytes_total",
            "kubeipvs_endpoint_bytes_total",
        ] {
            // A TCP request has more than 40 bytes of headers.
            let bytes = sum(&metrics, name);
            ensure(bytes > 40 * least, || {
                format!("{name} is too small: {bytes}")
            })?;
        }
        Ok(())
    })
}

fn turned_off() -> Outcome {
    let stage = stage("serviceMetrics: \"off\"")?;
    let metrics = get_text(&stage.world.node, METRICS, "/metrics")?;
    for name in [
        "kubeipvs_service_connections_total{",
        "kubeipvs_endpoint_connections_total{",
    ] {
        ensure(!metrics.contains(name), || {
            format!("unexpected metric {name}")
        })?;
    }
    for (name, label) in [
        ("kubernetes_build_info{", "git_version=\"v1."),
        ("kubeproxy_sync_proxy_rules_service_changes_total ", ""),
        ("kubeproxy_sync_proxy_rules_no_local_endpoints_total{", ""),
    ] {
        let found = |line: &str| line.starts_with(name) && line.contains(label);
        ensure(metrics.lines().any(found), || {
            format!("metric {name} is missing")
        })?;
    }
    Ok(())
}
