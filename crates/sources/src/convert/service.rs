//! core/v1 Service.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use model::Parsed;
use model::cluster::{Service, ServiceKind, ServicePort, TrafficPolicy};
use model::names::{Name, Uid};

use super::{cidr, ip, name, port, protocol};
use crate::objects;

/// Default of the API server for `sessionAffinityConfig.clientIP.timeoutSeconds`.
const AFFINITY_TIMEOUT_SECONDS: u32 = 10_800;

/// Converts a Service with those of its labels that policies read.
///
/// - Load-balancer addresses with `ipMode: Proxy` and blank addresses are skipped.
/// - `clusterIP: None` yields no cluster address.
/// - A blank source range is kept as an invalid one: skipping it would open the Service to all
///   clients.
#[must_use]
pub fn service(given: &objects::Service, labels: Box<[(Name, Name)]>) -> Service {
    let spec = &given.spec;
    Service {
        name: given.metadata.object_name(),
        created: given.metadata.creation_timestamp,
        uid: given.metadata.uid.as_deref().and_then(Uid::parse),
        kind: match spec.type_.as_deref() {
            Some("NodePort") => ServiceKind::NodePort,
            Some("LoadBalancer") => ServiceKind::LoadBalancer,
            Some("ExternalName") => ServiceKind::ExternalName,
            _ => ServiceKind::ClusterIp,
        },
        cluster_ips: cluster_ips(spec),
        ports: spec.ports.iter().flatten().map(service_port).collect(),
        affinity: affinity(spec),
        internal_policy: policy(spec.internal_traffic_policy.as_deref()),
        external_policy: policy(spec.external_traffic_policy.as_deref()),
        external_ips: addresses(spec.external_ips.iter().flatten()),
        load_balancer_ips: load_balancer_ips(given),
        source_ranges: (spec.load_balancer_source_ranges.iter().flatten())
            .map(|text| cidr(text))
            .collect(),
        health_check_node_port: node_port(spec.health_check_node_port),
        has_selector: (spec.selector.as_ref()).is_some_and(|selector| !selector.is_empty()),
        annotations: given.metadata.annotations.policy.clone().into(),
        labels,
    }
}

fn cluster_ips(spec: &core::ServiceSpec) -> Vec<Parsed<IpAddr>> {
    let many = spec.cluster_ips.iter().flatten();
    let texts: Vec<&String> = if many.clone().next().is_some() {
        many.collect()
    } else {
        spec.cluster_ip.iter().collect()
    };
    addresses(texts.into_iter().filter(|text| *text != "None"))
}

fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<Parsed<IpAddr>> {
    texts
        .filter(|text| !text.trim().is_empty())
        .map(|text| ip(text))
        .collect()
}

fn service_port(given: &core::ServicePort) -> ServicePort {
    ServicePort {
        name: name(given.name.as_deref().unwrap_or_default()),
        protocol: protocol(given.protocol.as_deref()),
        port: number(given.port),
        node_port: node_port(given.node_port),
    }
}

fn number(given: i32) -> Parsed<NonZeroU16> {
    port(given).map_or_else(|| Parsed::Invalid(given.to_string().into()), Parsed::Valid)
}

/// Converts a node port. The API server writes zero for a missing one.
fn node_port(given: Option<i32>) -> Option<Parsed<NonZeroU16>> {
    given.filter(|port| *port != 0).map(number)
}

fn affinity(spec: &core::ServiceSpec) -> Option<Duration> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref();
    let seconds = config
        .and_then(|config| config.client_ip.as_ref())
        .and_then(|config| config.timeout_seconds)
        .and_then(|seconds| u32::try_from(seconds).ok());
    Some(Duration::from_secs(u64::from(
        seconds.unwrap_or(AFFINITY_TIMEOUT_SECONDS),
    )))
}

fn policy(text: Option<&str>) -> TrafficPolicy {
    match text {
        Some("Local") => TrafficPolicy::Local,
        _ => TrafficPolicy::Cluster,
    }
}

fn load_balancer_ips(given: &objects::Service) -> Vec<Parsed<IpAddr>> {
    let balancer = given.status.load_balancer.as_ref();
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
    addresses(
        ingress
            .into_iter()
            .flatten()
            .filter(|ingress| matches!(ingress.ip_mode.as_deref(), None | Some("VIP")))
            .filter_map(|ingress| ingress.ip.as_ref()),
    )
}
