//! Clients that source ranges admit to a dual-stack Service.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::cluster::{Service, ServiceKind};
use model::frontend::{FrontendKind, Sources};

use super::super::{NodeContext, resolve};
use crate::testing::{config, parsed, service};

/// Returns the sources at the IPv4 and the IPv6 address of a load balancer: `any`, or the ranges.
fn sources(ranges: &[&str], limit: usize) -> [String; 2] {
    let service = Service {
        kind: ServiceKind::LoadBalancer,
        load_balancer_ips: ["203.0.113.1", "2001:db8::1"].map(parsed).into(),
        source_ranges: ranges.iter().copied().map(parsed::<IpNetwork>).collect(),
        ..service("web", &["10.96.0.1", "fd00:96::1"])
    };
    let mut config = config();
    config.service_limits.source_ranges = limit;
    let frontends = resolve(&service, &[], &NodeContext::default(), &config).frontends;
    AddressFamily::ALL.map(|family| {
        let is_of_family = |address: IpAddr| AddressFamily::of(address) == family;
        let mut frontends = frontends.iter();
        let frontend = frontends.find(|frontend| {
            frontend.kind == FrontendKind::LoadBalancerIp && is_of_family(frontend.address)
        });
        match &frontend.expect("it is served").sources {
            Sources::Any => "any".to_owned(),
            Sources::Only { ranges, .. } => {
                let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
                ranges.join(" ")
            }
        }
    })
}

#[track_caller]
fn check(ranges: &[&str], expected: [&str; 2]) {
    assert_eq!(sources(ranges, 9), expected, "{ranges:?}");
}

#[test]
fn any_range_closes_both_families() {
    check(&[], ["any", "any"]);
    check(&["10.0.0.0/8"], ["10.0.0.0/8", ""]);
    check(&["fd00::/8"], ["", "fd00::/8"]);
    check(&["10.0.0.0/8", "fd00::/8"], ["10.0.0.0/8", "fd00::/8"]);
    for wrong in ["", " ", "10.0.0.0/8,fd00::/8", "10.0.0.0/33"] {
        check(&[wrong], ["", ""]);
        check(&[wrong, "10.0.0.0/8"], ["10.0.0.0/8", ""]);
    }
}

#[test]
fn a_range_of_length_0_restricts_nothing() {
    for range in ["0.0.0.0/0", "192.0.2.1/0", "::/0", "2001:db8::1/0"] {
        check(&[range], ["any", "any"]);
    }
    check(&["10.0.0.0/8", "0.0.0.0/0"], ["any", "any"]);
    check(&["0.0.0.0/0", "::/0"], ["any", "any"]);
}

/// Ranges of a family exclude its other clients, whatever the ranges of the other family are.
#[test]
fn a_range_of_length_0_opens_no_family_with_ranges() {
    check(&["10.0.0.0/8", "::/0"], ["10.0.0.0/8", "any"]);
    check(&["0.0.0.0/0", "fd00::/8"], ["any", "fd00::/8"]);
    check(&["::/0", "10.0.0.0/33"], ["", "any"]);
    check(&["0.0.0.0/0", ""], ["any", ""]);
    assert_eq!(sources(&["::/0", "10.0.0.0/8"], 1), ["", "any"]);
    assert_eq!(sources(&["10.0.0.0/8", "::/0"], 1), ["10.0.0.0/8", ""]);
}
