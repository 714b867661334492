//! `servicePolicies` and `allowedAnnotations`.

use std::collections::BTreeSet;

use model::ObjectName;
use model::policy::PolicyField;

use super::*;

#[test]
fn policies_are_read_and_written() {
    let text = ours(
        "servicePolicies:\n\
         - name: near\n  namespaces: [shop, 'team-*']\n  selector:\n    matchLabels: {tier: front}\n\
         \x20   matchExpressions: [{key: old, operator: DoesNotExist}, {key: app, operator: In, values: [a, b]}]\n\
         \x20 policy:\n    scheduler: wrr\n    weights: {zone/a: 10, default: 0}\n\
         \x20   schedulerFlags: []\n    onePacket: true\n    locality: node=10\n    drainTimeout: 1m\n\
         - {name: all}\n",
    );
    // An empty list of flags is a mistake, `null` is not.
    check(
        &text,
        &["error: servicePolicies[0].policy.schedulerFlags: is empty"],
    );
    let text = text.replace("schedulerFlags: []", "schedulerFlags: ~");
    let read = resolved(&text);
    let [near, all] = &read.node.service_policies[..] else {
        panic!("two policies");
    };
    let values: Vec<_> = near.policy.values().map(|(_, value)| value).collect();
    let expected = [
        "wrr",
        "zone/a=10, default=0",
        "node=10, zone=1, other=1",
        "true",
        "1m0s",
    ];
    assert_eq!(values, expected);
    assert!(all.policy.is_empty());
    let labels = [("app", "a"), ("tier", "front")].map(|(key, value)| (key.into(), value.into()));
    let selects = |namespace: &str| near.selects(&ObjectName::new(namespace, "web"), &labels);
    assert!(selects("team-1") && selects("shop") && !selects("default"));
    assert!(!near.selects(&ObjectName::new("shop", "web"), &labels[1..]));
    assert!(all.selects(&ObjectName::new("any", "web"), &[]));
    let keys: Vec<_> = read.node.label_keys().into_iter().collect();
    assert_eq!(keys, ["app", "old", "tier"].map(Name::from));
    // `config show` and `--write-config-to` write a file with the same meaning.
    let written = read.to_yaml().expect("YAML");
    assert_eq!(
        resolved(&written).node.service_policies,
        read.node.service_policies
    );
}

#[test]
fn mistakes_in_policies_name_their_place() {
    for (text, expected) in [
        (
            "servicePolicies: 5",
            "error: servicePolicies: must be a list, not 5",
        ),
        (
            "servicePolicies: [5]",
            "error: servicePolicies[0]: must be a mapping, not 5",
        ),
        (
            "servicePolicies: [{policy: {}}]",
            "error: servicePolicies[0].name: must be a text that names the policy",
        ),
        (
            "servicePolicies: [{name: a}, {name: a}]",
            "error: servicePolicies[1].name: \"a\" is the name of an earlier policy",
        ),
        (
            "servicePolicies: [{name: a, namespace: [b]}]",
            "error: servicePolicies[0].namespace: is no field",
        ),
        (
            "servicePolicies: [{name: a, namespaces: [b, 7]}]",
            "error: servicePolicies[0].namespaces[1]: must be text, not 7",
        ),
        (
            "servicePolicies: [{name: a, policy: {weight: 1}}]",
            "error: servicePolicies[0].policy.weight: is no field of a policy",
        ),
        (
            "servicePolicies: [{name: a, policy: {weights: {zone/a: -1}}}]",
            "error: servicePolicies[0].policy.weights: zone/a: `-1` is not a whole number from 0 to 256",
        ),
        (
            "servicePolicies: [{name: a, policy: {weights: {zone/a: [1]}}}]",
            "error: servicePolicies[0].policy.weights: must be a text or a number, not a list",
        ),
        (
            "servicePolicies: [{name: a, selector: {matchExpressions: [{key: a, operator: In}]}}]",
            "error: servicePolicies[0].selector.matchExpressions[0]: needs values",
        ),
        (
            "servicePolicies: [{name: a, selector: {matchExpressions: [{operator: Exists}]}}]",
            "error: servicePolicies[0].selector.matchExpressions[0]: needs a key",
        ),
        (
            "servicePolicies: [{name: a, selector: {matchExpressions: [{key: a, operator: Gt}]}}]",
            "error: servicePolicies[0].selector.matchExpressions[0]: needs the operator In, NotIn, Exists or DoesNotExist",
        ),
        (
            "allowedAnnotations: [weight]",
            "error: allowedAnnotations[0]: \"weight\" is no field of a policy, is weights meant?",
        ),
        (
            "allowedAnnotations: [colour]",
            "error: allowedAnnotations[0]: \"colour\" is no field of a policy",
        ),
    ] {
        check_ours(text, &[expected]);
    }
}

#[test]
fn allowed_annotations_are_a_list() {
    let mut all: BTreeSet<_> = PolicyField::ALL.iter().copied().collect();
    // By these a Service makes nodes send other packets than its clients' to its endpoints.
    all.remove(&PolicyField::HealthCheck);
    all.remove(&PolicyField::Forwarding);
    assert_eq!(resolved("").node.allowed_annotations, all);
    let none = resolved(&ours("allowedAnnotations: []"));
    assert!(none.node.allowed_annotations.is_empty());
    check_ours(
        "allowedAnnotations: [weights, scheduler]",
        &["allowedAnnotations = [scheduler, weights]"],
    );
}

#[test]
fn authorities_of_health_checks_are_names_with_files() {
    let text = ours(
        "healthChecks: {authorities: {shop: /etc/shop.pem}}\n\
         servicePolicies: [{name: a, policy: {healthCheck: {type: https, verify: shop}}}]\n",
    );
    let read = resolved(&text);
    let authorities: Vec<_> = read.node.health_check_authorities.iter().collect();
    assert_eq!(
        authorities,
        [(&Name::from("shop"), &"/etc/shop.pem".into())]
    );
    let written = read.to_yaml().expect("YAML");
    assert_eq!(resolved(&written).node, read.node);
    for (text, expected) in [
        (
            "healthChecks: {authorities: [/etc/shop.pem]}",
            "error: healthChecks.authorities: must be a mapping, not a list",
        ),
        (
            "healthChecks: {authorities: {shop: shop.pem}}",
            "error: healthChecks.authorities.shop: \"shop.pem\" is no absolute path",
        ),
        (
            "healthChecks: {authorities: {none: /etc/shop.pem}}",
            "error: healthChecks.authorities.none: is no name of at most 63 letters, digits, -, _ and . except none",
        ),
        (
            "servicePolicies: [{name: a, policy: {healthCheck: {type: https, verify: shop}}}]",
            "error: servicePolicies[0].policy.healthCheck: verify: healthChecks.authorities does not contain shop",
        ),
    ] {
        check_ours(text, &[expected]);
    }
}
