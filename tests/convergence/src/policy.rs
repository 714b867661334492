//! Policies of Services.

use std::sync::Arc;

use model::Name;
use model::cluster::StaticServer;
use model::policy::{
    Annotation, Given, LabelSelector, Pattern, PolicyField, PolicyRule, Requirement, ServicePolicy,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Annotations with values of all kinds: with an effect, without one, and invalid.
const ANNOTATIONS: &[(&str, &str)] = &[
    ("scheduler", "mh"),
    ("scheduler", "wrr"),
    ("scheduler", "rr"),
    ("scheduler", "No Such"),
    ("scheduler", ""),
    ("scheduler-flags", "mh-fallback"),
    ("scheduler-flags", "sh-port"),
    (
        "weights",
        "zone/zone-a=10, node/node*=3, 10.1.0.1=0, default=2",
    ),
    ("weights", "default=0"),
    ("weights", "10.1.0.1=1, 10.1.0.1=2"),
    ("locality", "node=100, other=0"),
    ("locality", "node=0, zone=0, other=0"),
    ("locality", "rack=1"),
    ("connection-limits", "upper=10, lower=5"),
    ("connection-limits", "lower=5"),
    ("one-packet", "true"),
    ("affinity-prefix", "ipv4=24, ipv6=64"),
    ("affinity-scope", "service"),
    ("affinity-scope", "service"),
    ("affinity-scope", "port"),
    ("affinity-scope", "node"),
    ("drain-timeout", "10s"),
    ("udp-drain-timeout", "0"),
    ("udp-drain-timeout", "1d"),
    ("health-check", "type=tcp"),
    (
        "health-check",
        "type=tcp, port=9, onFailure=remove, panicThreshold=100",
    ),
    ("health-check", "type=http, panicThreshold=1"),
    ("health-check", "type=ping"),
    ("slow-start", "3s"),
    ("slow-start", "0"),
    ("slow-start", "1d"),
    ("forwarding", "direct"),
    ("forwarding", "masquerade"),
    ("forwarding", "method=tunnel, type=gue, port=6080"),
    ("forwarding", "method=tunnel, type=gue"),
    ("no-such-field", "1"),
];

/// Generates the fields of a policy that a VirtualServer has.
pub fn virtual_server_policy() -> impl Strategy<Value = Option<Arc<ServicePolicy>>> {
    let annotations = vec(select(ANNOTATIONS), 0..6);
    annotations.prop_map(|pairs| {
        let mut policy = ServicePolicy::default();
        for (name, value) in pairs {
            let field = PolicyField::of_annotation(name);
            let field = field.filter(|field| StaticServer::POLICY_FIELDS.contains(field));
            // The decoder refuses an invalid value, so that no object has it.
            let _ = field.map(|field| policy.set(field, &Given::from(value)));
        }
        (!policy.is_empty()).then(|| Arc::new(policy))
    })
}

/// Returns annotations of [`ANNOTATIONS`], at most one of each name.
pub fn annotations() -> impl Strategy<Value = Vec<Annotation>> {
    vec(select(ANNOTATIONS), 0..4).prop_map(|pairs| {
        let mut all: Vec<_> = (pairs.into_iter())
            .map(|(name, value)| Annotation::new(name, value))
            .collect();
        all.sort();
        all.dedup_by(|one, other| one.name == other.name);
        all
    })
}

/// Generates labels that [`rules`] read.
pub fn labels() -> impl Strategy<Value = Vec<(Name, Name)>> {
    let tier = select(vec![None, Some("front"), Some("back")]);
    tier.prop_map(|tier| {
        tier.map(|tier| ("tier".into(), tier.into()))
            .into_iter()
            .collect()
    })
}

/// Generates rules of the configuration.
pub fn rules() -> impl Strategy<Value = Vec<PolicyRule>> {
    let rule = (
        select(vec![None, Some("shop"), Some("*")]),
        any::<bool>(),
        vec(select(ANNOTATIONS), 0..3),
    );
    vec(rule, 0..3).prop_map(|rules| {
        let rules = rules.into_iter().enumerate();
        let rules = rules.map(|(index, (namespace, back, pairs))| {
            let mut policy = ServicePolicy::default();
            for (name, value) in pairs {
                if let Some(field) = PolicyField::of_annotation(name) {
                    // A file with an invalid value is refused as a whole.
                    let _ = policy.set(field, &value.into());
                }
            }
            let selector = back.then(|| ("tier".into(), Requirement::In(["back".into()].into())));
            PolicyRule {
                name: index.to_string().into(),
                namespaces: namespace.into_iter().map(Pattern::new).collect(),
                labels: LabelSelector(selector.into_iter().collect()),
                policy,
            }
        });
        rules.collect()
    })
}
