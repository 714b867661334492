//! Tests of the traffic metrics by Service and endpoint, and of their limit.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipvs::{
    Connections, Forwarding, Protocol, RealServer, RealServerKey, RealServerStatus, Statistics,
    VirtualServerKey,
};
use model::names::{ObjectName, ServicePortName};

use super::{Traffic, TrafficOptions, check, metrics_with, scrape};
use crate::metrics::{TrafficLabel, VirtualServerTraffic};

fn statistics(unit: u64) -> Statistics {
    Statistics {
        connections: unit,
        packets_in: unit * 10,
        packets_out: unit * 20,
        bytes_in: unit * 1000,
        bytes_out: unit * 2000,
        ..Statistics::default()
    }
}

/// Returns `services` Services with one port, each with `endpoints` endpoints.
pub(super) fn reading(services: u8, endpoints: u8) -> Vec<VirtualServerTraffic> {
    (1..=services)
        .map(|service| VirtualServerTraffic {
            key: VirtualServerKey::Address {
                address: Ipv4Addr::new(10, 96, 0, service).into(),
                port: 80,
                protocol: Protocol::Tcp,
            },
            owner: Some(Arc::new(ServicePortName {
                service: ObjectName::new("shop", format!("web{service}")),
                port: "http".into(),
                protocol: Protocol::Tcp,
            })),
            statistics: statistics(u64::from(endpoints)),
            real_servers: (1..=endpoints)
                .map(|endpoint| real_server([10, 1, service, endpoint].into()))
                .collect(),
        })
        .collect()
}

fn real_server(address: IpAddr) -> RealServerStatus {
    RealServerStatus {
        server: RealServer {
            key: RealServerKey {
                address,
                port: 8080,
            },
            forwarding: Forwarding::Masquerade,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        },
        connections: Connections {
            active: 3,
            inactive: 4,
            persistent: 0,
        },
        statistics: statistics(1),
    }
}

fn metrics(
    services: &[TrafficLabel],
    endpoints: &[TrafficLabel],
    limit: usize,
    reading: Vec<VirtualServerTraffic>,
) -> super::Metrics {
    let traffic = Traffic::default();
    let options = TrafficOptions {
        services: services.iter().copied().collect(),
        endpoints: endpoints.iter().copied().collect(),
        limit,
    };
    let metrics = metrics_with(options, traffic.clone());
    // The reading arrives after the registration and is replaced periodically.
    traffic.set(Arc::from(reading));
    metrics
}

#[test]
fn traffic_is_not_shown_by_default() {
    let exposition = scrape(&metrics(&[], &[], 10, reading(3, 3)));
    let traffic = (exposition.types.keys())
        .filter(|name| name.contains("_service_") || name.contains("_endpoint_"))
        .filter(|name| name.starts_with("kubeipvs_"));
    assert_eq!(traffic.count(), 0);
    assert!(
        !exposition
            .types
            .contains_key("kubeipvs_traffic_series_omitted")
    );
}

#[test]
fn traffic_is_summed_by_the_labels() {
    use TrafficLabel::{Endpoint, IpFamily, Namespace, Service};

    check(
        &metrics(&TrafficOptions::SERVICE_LABELS, &[], 10, reading(1, 2)),
        &[
            r#"kubeipvs_service_connections_total{service_namespace="shop",service_name="web1",service_port="http",protocol="TCP"} 2"#,
            r#"kubeipvs_service_packets_total{service_namespace="shop",service_name="web1",service_port="http",protocol="TCP",direction="in"} 20"#,
            r#"kubeipvs_service_packets_total{service_namespace="shop",service_name="web1",service_port="http",protocol="TCP",direction="out"} 40"#,
            r#"kubeipvs_service_bytes_total{service_namespace="shop",service_name="web1",service_port="http",protocol="TCP",direction="out"} 4000"#,
            r#"kubeipvs_traffic_series_omitted{of="service"} 0"#,
        ],
    );
    check(
        &metrics(&[], &[Service, Endpoint], 10, reading(1, 2)),
        &[
            r#"kubeipvs_endpoint_connections_total{service_name="web1",endpoint_address="10.1.1.2:8080"} 1"#,
            r#"kubeipvs_endpoint_bytes_total{service_name="web1",endpoint_address="10.1.1.2:8080",direction="in"} 1000"#,
            r#"kubeipvs_endpoint_active_connections{service_name="web1",endpoint_address="10.1.1.1:8080"} 3"#,
            r#"kubeipvs_endpoint_inactive_connections{service_name="web1",endpoint_address="10.1.1.1:8080"} 4"#,
        ],
    );
    check(
        &metrics(&[Namespace], &[IpFamily], 10, reading(3, 2)),
        &[
            r#"kubeipvs_service_connections_total{service_namespace="shop"} 6"#,
            r#"kubeipvs_endpoint_active_connections{ip_family="IPv4"} 18"#,
        ],
    );
    // Services have no endpoint label.
    check(
        &metrics(&[Service, Endpoint], &[], 10, reading(1, 2)),
        &[r#"kubeipvs_service_connections_total{service_name="web1"} 2"#],
    );
}

#[test]
fn a_virtual_server_without_an_owner_is_not_shown() {
    let mut reading = reading(2, 1);
    reading[0].owner = None;
    let exposition = scrape(&metrics(&[TrafficLabel::VirtualAddress], &[], 10, reading));
    let shown: Vec<&str> = exposition
        .series_of("kubeipvs_service_connections_total")
        .map(|labels| labels["virtual_address"].as_str())
        .collect();
    assert_eq!(shown, ["10.96.0.2:80/TCP"]);
}

#[test]
fn the_number_of_series_is_limited() {
    let endpoint = [TrafficLabel::Endpoint];
    let metrics = metrics(&[TrafficLabel::Service], &endpoint, 5, reading(7, 100));
    check(
        &metrics,
        &[
            r#"kubeipvs_traffic_series_omitted{of="service"} 2"#,
            r#"kubeipvs_traffic_series_omitted{of="endpoint"} 695"#,
        ],
    );
    let exposition = scrape(&metrics);
    for (name, count) in [
        ("kubeipvs_service_connections_total", 5),
        ("kubeipvs_service_bytes_total", 10),
        ("kubeipvs_endpoint_connections_total", 5),
        ("kubeipvs_endpoint_active_connections", 5),
    ] {
        assert_eq!(exposition.series_of(name).count(), count, "{name}");
    }
}

#[test]
fn the_shown_series_do_not_depend_on_the_order_of_the_reading() {
    let mut backwards = reading(7, 1);
    backwards.reverse();
    let shown = |reading| -> BTreeSet<String> {
        let exposition = scrape(&metrics(&[TrafficLabel::Service], &[], 3, reading));
        let series = exposition.series_of("kubeipvs_service_connections_total");
        series
            .map(|labels| labels["service_name"].clone())
            .collect()
    };
    assert_eq!(shown(reading(7, 1)), shown(backwards));
}

#[test]
fn labels_have_names() {
    for label in TrafficLabel::ALL {
        assert_eq!(label.name().parse(), Ok(label));
    }
    assert_eq!(
        "pod"
            .parse::<TrafficLabel>()
            .expect_err("an unknown label")
            .to_string(),
        "unknown label \"pod\": use one of service_namespace, service_name, service_port, protocol, \
         ip_family, virtual_address, endpoint_address"
    );
}
