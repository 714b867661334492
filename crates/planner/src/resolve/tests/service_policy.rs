//! Policies of Services.

use std::collections::BTreeSet;
use std::time::Duration;

use ipvs::{Scheduler, ServiceFlags};
use model::cluster::Parsed;
use model::config::{NodeConfig, SCHEDULERS};
use model::finding::{Code, Finding};
use model::policy::{
    Annotation, Given, LabelSelector, Pattern, PolicyField, PolicyRule, Requirement, ServicePolicy,
};

use super::*;
use crate::explain::PolicyOrigin;
use crate::lower::{Claim, lower};
use crate::resolve::resolve_explained;

fn annotated(pairs: &[(&str, &str)]) -> Service {
    Service {
        annotations: (pairs.iter())
            .map(|(name, value)| Annotation::new(name, value))
            .collect(),
        ..service("web", &["10.96.0.1"])
    }
}

fn rule(name: &str, namespace: &str, fields: &[(PolicyField, &'static str)]) -> PolicyRule {
    let mut policy = ServicePolicy::default();
    for (field, value) in fields {
        policy
            .set(*field, &Given::from(*value))
            .expect("a valid value");
    }
    PolicyRule {
        name: name.into(),
        namespaces: vec![Pattern::new(namespace)],
        labels: LabelSelector::default(),
        policy,
    }
}

/// Three endpoints: on this node, in its zone, and in another zone.
fn places() -> EndpointSlice {
    let at = |address: &str, node: &str, zone: &str| Endpoint {
        node: Some(node.into()),
        zone: Some(zone.into()),
        ..endpoint(address)
    };
    slice(
        "web",
        "web-1",
        vec![
            at("10.1.0.1", "node1", "a"),
            at("10.1.0.2", "node2", "a"),
            at("10.1.0.3", "node3", "b"),
        ],
    )
}

fn node() -> NodeContext {
    NodeContext {
        zone: Some("a".into()),
        ..NodeContext::default()
    }
}

/// Resolves and lowers `service`. Returns the claim of its first frontend, and the findings about
/// its policy.
fn served(service: &Service, config: &NodeConfig) -> (Claim, Vec<Finding>) {
    let resolved = resolve(service, &[places()], &node(), config);
    let findings = (resolved.findings.into_iter())
        .filter(|finding| finding.field.starts_with("metadata.annotations"))
        .collect();
    let frontend = resolved.frontends.into_iter().next();
    (lower(frontend.expect("a frontend"), config), findings)
}

fn weights(claim: &Claim) -> Vec<u32> {
    (claim.entry.real_servers.values())
        .map(|real| real.weight)
        .collect()
}

/// Lowers a Service with these annotations, without findings, and returns its weights.
fn weights_of(pairs: &[(&str, &str)]) -> Vec<u32> {
    let mut pairs = pairs.to_vec();
    pairs.push(("scheduler", "wrr"));
    let (claim, findings) = served(&annotated(&pairs), &config());
    assert_eq!(findings, [], "{pairs:?}");
    weights(&claim)
}

#[test]
fn weights_and_locality_multiply() {
    assert_eq!(weights_of(&[]), [1, 1, 1]);
    assert_eq!(
        weights_of(&[("weights", "zone/b=0, node/node2=5")]),
        [1, 5, 0]
    );
    assert_eq!(
        weights_of(&[("locality", "node=100, zone=10")]),
        [100, 10, 1]
    );
    let both = [("weights", "default=3"), ("locality", "node=100, zone=10")];
    // 300, 30 and 3, reduced.
    assert_eq!(weights_of(&both), [256, 25, 2]);
    let extreme = [
        ("weights", "default=256"),
        ("locality", "node=256, other=0"),
    ];
    assert_eq!(weights_of(&extreme), [256, 1, 0]);
}

/// Locality prefers endpoints. It takes no Service away that has endpoints elsewhere; weights do,
/// because their author says so.
#[test]
fn only_weights_can_leave_every_endpoint_out() {
    assert_eq!(weights_of(&[("locality", "other=0")]), [1, 1, 0]);
    assert_eq!(
        weights_of(&[("locality", "node=0, zone=0, other=0")]),
        [1, 1, 1]
    );
    let far = [
        ("weights", "node/node3=4, default=0"),
        ("locality", "other=0"),
    ];
    assert_eq!(weights_of(&far), [0, 0, 4]);
    assert_eq!(weights_of(&[("weights", "default=0")]), [0, 0, 0]);
}

/// `sh` has 256 buckets; an endpoint without one would get no client.
#[test]
fn weights_of_sh_leave_every_endpoint_a_bucket() {
    let of = |weights: &str| {
        let pairs = [("scheduler", "sh"), ("weights", weights)];
        self::weights(&served(&annotated(&pairs), &config()).0)
    };
    assert_eq!(
        of("node/node1=100, node/node2=100, node/node3=56"),
        [100, 100, 56]
    );
    assert_eq!(
        of("node/node1=100, node/node2=100, node/node3=100"),
        [85, 85, 85]
    );
    assert_eq!(
        of("node/node1=256, node/node2=256, node/node3=1"),
        [127, 127, 1]
    );
    assert_eq!(
        of("node/node1=256, node/node2=0, node/node3=2"),
        [253, 0, 1]
    );
    assert_eq!(of("default=256"), [85, 85, 85]);
}

#[test]
fn limits_flags_and_prefixes_reach_the_virtual_server() {
    let mut service = annotated(&[
        ("affinity-prefix", "ipv4=24"),
        ("connection-limits", "upper=100, lower=50"),
        ("one-packet", "true"),
        ("scheduler", "sh"),
        ("scheduler-flags", "sh-port"),
    ]);
    service.affinity = Some(Duration::from_secs(60));
    service.ports[0].protocol = Parsed::Valid(Protocol::Udp);
    let mut slice = places();
    slice.ports[0].protocol = Parsed::Valid(Protocol::Udp);
    let resolved = resolve(&service, &[slice], &node(), &config());
    let claim = lower(resolved.frontends[0].clone(), &config());
    let server = &claim.entry.server;
    let flags = ServiceFlags::PERSISTENT | ServiceFlags::ONE_PACKET | ServiceFlags::SCHED_2;
    assert_eq!(server.scheduler, Scheduler("sh".into()));
    assert_eq!(server.flags, flags);
    assert_eq!(server.persistence_prefix, 24);
    for real in claim.entry.real_servers.values() {
        assert_eq!((real.upper_threshold, real.lower_threshold), (100, 50));
    }
    assert_eq!(server.validate(), Ok(()));
}

/// Annotations come before the first rule that selects the Service, and that rule before the node.
#[test]
fn each_value_has_an_origin() {
    let mut config = config();
    config.service_policies = vec![
        rule("other", "elsewhere", &[(PolicyField::DrainTimeout, "1s")]),
        rule(
            "first",
            "def*",
            &[
                (PolicyField::Scheduler, "wlc"),
                (PolicyField::Weights, "default=7"),
            ],
        ),
        rule("second", "*", &[(PolicyField::UdpDrainTimeout, "1s")]),
    ];
    let service = annotated(&[("scheduler", "wrr")]);
    let (_, decisions) = resolve_explained(&service, &[places()], &node(), &config);
    let shown: Vec<_> = (decisions.policy.iter())
        .map(|value| (value.field, value.value.as_str(), value.origin.clone()))
        .collect();
    assert_eq!(
        shown,
        [
            (PolicyField::Scheduler, "wrr", PolicyOrigin::Annotation),
            (
                PolicyField::Weights,
                "default=7",
                PolicyOrigin::Rule("first".into())
            ),
            (PolicyField::DrainTimeout, "15m0s", PolicyOrigin::Node),
            (PolicyField::UdpDrainTimeout, "5s", PolicyOrigin::Node),
        ]
    );
}

#[test]
fn rules_read_labels() {
    let mut config = config();
    let mut gold = rule("gold", "*", &[(PolicyField::Scheduler, "mh")]);
    gold.labels = LabelSelector(vec![("tier".into(), Requirement::Exists)]);
    config.service_policies = vec![gold];
    let mut service = service("web", &["10.96.0.1"]);
    assert_eq!(&*served(&service, &config).0.entry.server.scheduler.0, "rr");
    service.labels = [("tier".into(), "gold".into())].into();
    let (claim, _) = served(&service, &config);
    assert_eq!(&*claim.entry.server.scheduler.0, "mh");
    assert_eq!(claim.entry.server.flags, ServiceFlags::SCHED_2);
}

/// The findings say which value is used instead.
#[test]
fn mistakes_name_what_is_used_instead() {
    let mut config = config();
    config.service_policies = vec![rule("all", "*", &[(PolicyField::Scheduler, "wlc")])];
    config.allowed_annotations = PolicyField::ALL.iter().copied().collect();
    config
        .allowed_annotations
        .remove(&PolicyField::DrainTimeout);
    let service = annotated(&[
        ("drain-timeout", "10h"),
        ("locality", "rack=2"),
        ("schedular", "mh"),
        ("scheduler", "fastest"),
        ("udp-drain-timeout", "soon"),
        ("x\u{1b}", ""),
    ]);
    let (claim, findings) = served(&service, &config);
    assert_eq!(&*claim.entry.server.scheduler.0, "wlc");
    assert_eq!(weights(&claim), [1, 1, 1]);
    let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let schedulers = SCHEDULERS.join(", ");
    let at = "Service default/web: metadata.annotations[kube-ipvs.io/";
    let expected = [
        format!(
            "KIV0129 warning {at}drain-timeout]: a Service may not set it on this node; 15m0s of the configuration is used; allowedAnnotations of the configuration can allow it"
        ),
        format!(
            "KIV0128 error {at}locality]: `rack` is none of node, zone, other; the Service is served as without it"
        ),
        format!(
            "KIV0128 error {at}schedular]: it is no field of a policy, is kube-ipvs.io/scheduler meant?; it has no effect"
        ),
        format!(
            "KIV0115 error {at}scheduler]: `fastest` is none of {schedulers}; wlc of the servicePolicies[all] is used"
        ),
        format!(
            "KIV0128 error {at}udp-drain-timeout]: `soon` is no duration such as 30s or 5m; 5s of the configuration is used"
        ),
        format!("KIV0128 error {at}x\\u{{1b}}]: it is no field of a policy; it has no effect"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn fields_without_effect_are_told() {
    let service = annotated(&[
        ("affinity-prefix", "ipv4=24"),
        ("one-packet", "true"),
        ("scheduler-flags", "mh-port"),
        ("weights", "zone/a=3"),
    ]);
    let (claim, findings) = served(&service, &config());
    let server = &claim.entry.server;
    assert_eq!(
        (server.flags, server.persistence_prefix),
        (ServiceFlags::empty(), 32)
    );
    let problems: Vec<_> = findings
        .iter()
        .map(|finding| finding.problem.as_str())
        .collect();
    assert_eq!(
        problems,
        [
            "mh-port is for another scheduler than rr",
            "scheduler rr uses weights only to leave endpoints with weight 0 out",
            "the Service has no UDP port",
            "spec.sessionAffinity is not ClientIP",
        ]
    );
    assert!((findings.iter()).all(|finding| finding.code == Code::PolicyWithoutEffect));
}

/// Rules of the administrator select many Services; what has no effect for one of them is no
/// mistake.
#[test]
fn rules_cause_no_findings() {
    let mut config = config();
    config.service_policies = vec![rule(
        "all",
        "*",
        &[
            (PolicyField::AffinityPrefix, "ipv4=24"),
            (PolicyField::OnePacket, "true"),
            (PolicyField::SchedulerFlags, "mh-port"),
            (PolicyField::Weights, "zone/a=3"),
        ],
    )];
    let (claim, findings) = served(&service("web", &["10.96.0.1"]), &config);
    assert_eq!(findings, []);
    assert_eq!(claim.entry.server.validate(), Ok(()));
}

/// Names of modules that are not schedulers, and invalid names. None of them may reach the kernel.
#[test]
fn other_schedulers_are_rejected() {
    let long = "r".repeat(250_000);
    for (asked, problem) in [
        ("x0", "`x0` is none of"),
        ("ftp", "`ftp` is none of"),
        ("pe_sip", "`pe_sip` is none of"),
        ("", "`` is none of"),
        ("RR", "`RR` is none of"),
        ("rr\nwlc", r"`rr\nwlc` is none of"),
        ("\u{1b}[2Jrr", r"`\u{1b}[2Jrr` is none of"),
        ("\u{202e}rr", r"`\u{202e}rr` is none of"),
        (&long, "is longer than 2048 bytes"),
    ] {
        let (claim, findings) = served(&annotated(&[("scheduler", asked)]), &config());
        assert_eq!(&*claim.entry.server.scheduler.0, "rr", "{asked:?}");
        assert_eq!(findings.len(), 1, "{asked:?}");
        assert_eq!(findings[0].code, Code::InvalidScheduler);
        assert!(findings[0].problem.starts_with(problem), "{}", findings[0]);
    }
}

#[test]
fn a_service_chooses_a_scheduler_of_linux() {
    for known in SCHEDULERS {
        let (claim, findings) = served(&annotated(&[("scheduler", known)]), &config());
        assert_eq!(&*claim.entry.server.scheduler.0, known);
        assert_eq!(findings, []);
    }
}

/// The administrator may configure a scheduler that is not part of Linux. A Service may name it
/// too.
#[test]
fn a_service_may_name_the_configured_scheduler() {
    let mut config = config();
    config.scheduler = Scheduler("fastest".into());
    let (claim, findings) = served(&annotated(&[("scheduler", "fastest")]), &config);
    assert_eq!(&*claim.entry.server.scheduler.0, "fastest");
    assert_eq!(findings, []);
}

/// Every field can be forbidden.
#[test]
fn a_forbidden_field_has_no_effect() {
    let mut config = config();
    config.allowed_annotations = BTreeSet::new();
    let plain = served(&service("web", &["10.96.0.1"]), &config).0;
    for field in PolicyField::ALL {
        let (claim, findings) = served(&annotated(&[(field.annotation(), "1s")]), &config);
        assert_eq!(claim, plain, "{field:?}");
        assert_eq!(findings[0].code, Code::PolicyNotAllowed);
    }
}
