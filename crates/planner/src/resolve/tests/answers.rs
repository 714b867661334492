//! Findings that explain why a Service does not answer.

use ipvs::Protocol;
use model::cluster::{EndpointSlice, Service};

use super::super::{NodeContext, resolve};
use crate::testing::{config, endpoint, port, service, slice, unready};

/// Checks the code, problem and consequence of each finding.
fn check(service: &Service, slices: &[EndpointSlice], expected: &[&str]) {
    let findings = resolve(service, slices, &NodeContext::default(), &config()).findings;
    let texts: Vec<String> = (findings.iter())
        .map(|found| {
            format!(
                "{} {}: {}; {}",
                found.code, found.field, found.problem, found.consequence
            )
        })
        .collect();
    assert_eq!(texts, expected);
}

#[test]
fn a_service_without_slices_has_a_finding() {
    let mut web = service("web", &["10.96.0.1"]);
    check(
        &web,
        &[],
        &[
            "KIV0120 spec.selector: no EndpointSlice names it in the label kubernetes.io/service-name; connections are refused until one is written, as the Service has no selector",
        ],
    );
    web.has_selector = true;
    check(
        &web,
        &[],
        &[
            "KIV0120 spec.selector: no EndpointSlice names it in the label kubernetes.io/service-name; connections are refused until the control plane makes one",
        ],
    );
    // A headless Service has no address that could answer.
    check(&service("web", &[]), &[], &[]);
}

#[test]
fn endpoints_that_are_not_ready_are_counted_by_state() {
    let web = service("web", &["10.96.0.1"]);
    let mut empty = slice("web", "a", vec![endpoint("10.1.0.1")]);
    empty.endpoints.clear();
    check(
        &web,
        &[empty],
        &[
            "KIV0121 spec.selector: its EndpointSlices hold no endpoint, as when it is scaled to zero; connections are refused until one is ready",
        ],
    );
    let starting = [
        unready("10.1.0.1", false, false),
        unready("10.1.0.2", true, false),
    ];
    let gone = unready("10.1.0.3", false, true);
    check(
        &web,
        &[
            slice("web", "a", starting.to_vec()),
            slice("web", "b", vec![gone.clone()]),
        ],
        &[
            "KIV0121 spec.selector: no endpoint is ready: 2 not ready, 1 terminating; connections are refused until one is ready",
        ],
    );
    check(
        &web,
        &[slice(
            "web",
            "a",
            vec![gone.clone(), unready("10.1.0.4", true, true)],
        )],
        &[
            "KIV0121 spec.selector: no endpoint is ready: 1 terminating and serving, 1 terminating; those that terminate and still serve are used",
        ],
    );
    check(
        &web,
        &[slice("web", "a", vec![gone, endpoint("10.1.0.5")])],
        &[],
    );
}

#[test]
fn a_port_without_a_matching_name_has_a_finding() {
    let mut web = service("web", &["10.96.0.1"]);
    web.ports = vec![
        port("http", 80, Protocol::Tcp),
        port("", 81, Protocol::Tcp),
        port("http", 82, Protocol::Udp),
    ];
    let mut one = slice("web", "a", vec![endpoint("10.1.0.1")]);
    check(
        &web,
        std::slice::from_ref(&one),
        &[
            "KIV0122 spec.ports[1].name: no slice with endpoints has a port without a name of TCP; there is one named `http` of TCP; connections to this port are refused",
            "KIV0122 spec.ports[2].name: no slice with endpoints has a port named `http` of UDP; there is one named `http` of TCP; connections to this port are refused",
        ],
    );
    one.ports.clear();
    web.ports.truncate(1);
    check(
        &web,
        &[one],
        &[
            "KIV0122 spec.ports[0].name: no slice with endpoints has a port named `http` of TCP; those of IPv4 have no ports; connections to this port are refused",
        ],
    );
}

#[test]
fn endpoints_and_addresses_of_the_other_family_have_findings() {
    let ipv6 = [slice("web", "a", vec![endpoint("fd00::1")])];
    let mut web = service("web", &["10.96.0.1"]);
    check(
        &web,
        &ipv6,
        &[
            "KIV0123 spec.ipFamilies: it has endpoints, and none of IPv4; connections by IPv4 are refused",
        ],
    );
    let both = service("web", &["fd00:96::1", "2001:db8::9"]).cluster_ips;
    (web.external_ips, web.load_balancer_ips) = (both[1..].to_vec(), both[..1].to_vec());
    check(
        &web,
        &[slice("web", "a", vec![endpoint("10.1.0.1")])],
        &[
            "KIV0124 spec.externalIPs[0]: 2001:db8::9 is IPv6, and the Service has no IPv6 cluster IP; this address is not served",
            "KIV0124 status.loadBalancer.ingress[].ip: fd00:96::1 is IPv6, and the Service has no IPv6 cluster IP; this address is not served",
        ],
    );
}
