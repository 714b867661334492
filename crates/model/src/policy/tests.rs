use std::borrow::Cow;

use super::*;
use crate::names::ObjectName;

fn read(field: PolicyField, text: &str) -> Result<String, String> {
    let mut policy = ServicePolicy::default();
    policy.set(field, &Given::from(text))?;
    Ok(policy.text(field).expect("the field is set"))
}

/// Every value is written in a form that reads as the same value.
#[test]
fn values_are_written_as_they_are_read() {
    use PolicyField::{
        AffinityPrefix, AffinityScope, ConnectionLimits, DrainTimeout, Forwarding, HealthCheck,
        Locality, OnePacket, Scheduler, SchedulerFlags, SlowStart, UdpDrainTimeout, Weights,
    };
    let cases = [
        (Scheduler, " mh ", "mh"),
        (
            SchedulerFlags,
            "mh-port,,mh-fallback,mh-port",
            "mh-port, mh-fallback",
        ),
        (
            Weights,
            "10.0.0.0/8=2, default=0",
            "10.0.0.0/8=2, default=0",
        ),
        (
            Weights,
            "zone/a=1,node/*=2,node/gpu-*=3,node/n1=4,10.0.0.0/8=5,10.1.0.0/16=6,fd00::1=7",
            "fd00::1/128=7, 10.1.0.0/16=6, 10.0.0.0/8=5, node/n1=4, node/gpu-*=3, node/*=2, zone/a=1, \
             default=1",
        ),
        (Locality, "node=100, zone=10", "node=100, zone=10, other=1"),
        (ConnectionLimits, "upper=100", "upper=100"),
        (
            ConnectionLimits,
            "lower=80,upper=100",
            "upper=100, lower=80",
        ),
        (OnePacket, "true", "true"),
        (AffinityPrefix, "ipv4=24", "ipv4=24, ipv6=128"),
        (DrainTimeout, "90s", "1m30s"),
        (UdpDrainTimeout, "0", "0s"),
        (SlowStart, "60m", "1h0m0s"),
        (SlowStart, "0", "0s"),
        (
            HealthCheck,
            "type=tcp",
            "type=tcp, interval=5s, timeout=1s, rise=2, fall=3, onFailure=quiesce, panicThreshold=50",
        ),
        (Forwarding, " masquerade", "masquerade"),
        (Forwarding, "direct", "direct"),
        (Forwarding, "method=direct", "direct"),
        (Forwarding, "tunnel", "method=tunnel, type=ipip"),
        (AffinityScope, "service", "service"),
        (
            Forwarding,
            "method=tunnel,type=gre,checksum=full",
            "method=tunnel, type=gre, checksum=full",
        ),
        (
            Forwarding,
            "checksum=remote,port=6080,type=gue,method=tunnel",
            "method=tunnel, type=gue, port=6080, checksum=remote",
        ),
        (
            Forwarding,
            "method=tunnel, type=ipip, checksum=none",
            "method=tunnel, type=ipip",
        ),
    ];
    for (field, given, written) in cases {
        assert_eq!(
            read(field, given).as_deref(),
            Ok(written),
            "{field:?} {given}"
        );
        assert_eq!(
            read(field, written).as_deref(),
            Ok(written),
            "{field:?} {written}"
        );
    }
    for field in PolicyField::ALL {
        assert!(
            cases.iter().any(|(case, ..)| case == field),
            "{field:?} has no case"
        );
    }
}

#[test]
fn mistakes_name_the_part_that_is_wrong() {
    let many = (0..65)
        .map(|n| format!("10.0.0.{n}=1"))
        .collect::<Vec<_>>()
        .join(",");
    let cases = [
        (PolicyField::Scheduler, "fast", "`fast` is none of dh, fo"),
        (
            PolicyField::SchedulerFlags,
            "mh-port, quick",
            "`quick` is none of sh-port",
        ),
        (PolicyField::SchedulerFlags, " , ", "is empty"),
        (PolicyField::Weights, "zone/a", "`zone/a` has no `=`"),
        (
            PolicyField::Weights,
            "zone/a=-1",
            "zone/a: `-1` is not a whole number from 0 to 256",
        ),
        (
            PolicyField::Weights,
            "zone/a=257",
            "zone/a: `257` is not a whole number",
        ),
        (
            PolicyField::Weights,
            "zone/=1",
            "`zone/` is none of zone/NAME",
        ),
        (
            PolicyField::Weights,
            "10.0.0.300=1",
            "`10.0.0.300` is none of",
        ),
        (
            PolicyField::Weights,
            "zone/a=1, zone/a=2",
            "has `zone/a` twice",
        ),
        (
            PolicyField::Weights,
            &many,
            "has 65 items; at most 64 are read",
        ),
        (
            PolicyField::Locality,
            "node=1, rack=2",
            "`rack` is none of node, zone, other",
        ),
        (
            PolicyField::ConnectionLimits,
            "lower=1",
            "needs upper=NUMBER above 0",
        ),
        (
            PolicyField::ConnectionLimits,
            "upper=0",
            "needs upper=NUMBER above 0",
        ),
        (
            PolicyField::ConnectionLimits,
            "upper=1,lower=2",
            "a lower limit 2 above the upper",
        ),
        (
            PolicyField::OnePacket,
            "yes",
            "`yes` is neither true nor false",
        ),
        (
            PolicyField::AffinityPrefix,
            "ipv4=33",
            "ipv4: `33` is not a whole number from 1 to 32",
        ),
        (
            PolicyField::AffinityPrefix,
            "ipv6=0",
            "ipv6: `0` is not a whole number from 1 to 128",
        ),
        (
            PolicyField::Forwarding,
            "nat",
            "`nat` is none of masquerade, direct, tunnel",
        ),
        (PolicyField::Forwarding, "", "`` is none of masquerade"),
        (
            PolicyField::Forwarding,
            "type=gre",
            "needs method=METHOD, one of masquerade, direct, tunnel",
        ),
        (
            PolicyField::Forwarding,
            "method=direct, port=6080",
            "port is only for method=tunnel",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, type=vxlan",
            "type: `vxlan` is none of ipip, gre, gue",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, type=gue",
            "needs port=NUMBER with type=gue",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, type=gue, port=0",
            "port: `0` is not a whole number from 1 to 65535",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, port=6080",
            "port is only for type=gue",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, checksum=full",
            "type=ipip has no checksum=full",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, type=gre, checksum=remote",
            "type=gre has no checksum=remote",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, type=gre, checksum=crc",
            "checksum: `crc` is none of none, full, remote",
        ),
        (
            PolicyField::Forwarding,
            "method=tunnel, mtu=1400",
            "`mtu` is none of method, type, port, checksum",
        ),
        (PolicyField::DrainTimeout, "5", "`5` is no duration"),
        (
            PolicyField::DrainTimeout,
            "25h",
            "`25h` is longer than 24h0m0s",
        ),
        (
            PolicyField::OnePacket,
            "\u{202e}eurt",
            "`\\u{202e}eurt` is neither",
        ),
    ];
    for (field, given, problem) in cases {
        let error = read(field, given).expect_err(given);
        assert!(error.contains(problem), "{given}: {error}");
    }
}

/// A file may hold lists and mappings where an annotation has items with commas.
#[test]
fn files_hold_lists_and_mappings() {
    let mut policy = ServicePolicy::default();
    let pairs = [("zone/a", "3"), ("default", "0")];
    let pairs = pairs.map(|(key, value)| (Cow::from(key), Cow::from(value)));
    let weights = Given::Map(pairs.to_vec());
    policy
        .set(PolicyField::Weights, &weights)
        .expect("a mapping of weights");
    assert_eq!(
        policy.text(PolicyField::Weights).as_deref(),
        Some("zone/a=3, default=0")
    );
    let flags = Given::List(vec!["sh-port".into()]);
    policy
        .set(PolicyField::SchedulerFlags, &flags)
        .expect("a list of flags");
    let refused = policy.set(PolicyField::Scheduler, &flags);
    assert_eq!(refused, Err("must be one value, not a list".to_owned()));
}

#[test]
fn the_most_specific_weight_decides() {
    let mut policy = ServicePolicy::default();
    let text =
        "default=9, zone/a=1, node/*=2, node/gpu-*=3, node/gpu-1=4, 10.0.0.0/8=5, 10.0.0.7=6";
    policy
        .set(PolicyField::Weights, &text.into())
        .expect("weights");
    let weights = policy.weights.expect("weights");
    let [gpu, gpu2, other] = ["gpu-1", "gpu-2", "n1"].map(Name::from);
    let zone = Name::from("a");
    let of = |address: &str, node: Option<&Name>, zone: Option<&Name>| {
        let address = address.parse().expect("an address");
        weights.of(&Place {
            address,
            node,
            zone,
        })
    };
    assert_eq!(of("10.0.0.7", Some(&gpu), Some(&zone)), 6);
    assert_eq!(of("10.0.0.8", Some(&gpu), Some(&zone)), 5);
    assert_eq!(of("192.0.2.1", Some(&gpu), Some(&zone)), 4);
    assert_eq!(of("192.0.2.1", Some(&gpu2), Some(&zone)), 3);
    assert_eq!(of("192.0.2.1", Some(&other), Some(&zone)), 2);
    assert_eq!(of("192.0.2.1", None, Some(&zone)), 1);
    assert_eq!(of("fd00::1", None, None), 9);
}

#[test]
fn locality_compares_with_this_node() {
    let locality = Locality {
        node: 3,
        zone: 2,
        other: 1,
    };
    let [here, there] = ["n1", "n2"].map(Name::from);
    let [a, b] = ["a", "b"].map(Name::from);
    let of = |node: Option<&Name>, zone: Option<&Name>, own: Option<&Name>| {
        let address = "10.0.0.1".parse().expect("an address");
        let place = Place {
            address,
            node,
            zone,
        };
        locality.of(&place, &here, own)
    };
    assert_eq!(of(Some(&here), Some(&b), Some(&a)), 3);
    assert_eq!(of(Some(&there), Some(&a), Some(&a)), 2);
    assert_eq!(of(Some(&there), Some(&b), Some(&a)), 1);
    // An unknown zone is no common zone.
    assert_eq!(of(None, None, None), 1);
}

#[test]
fn a_field_is_inherited_once() {
    let mut policy = ServicePolicy::default();
    let mut below = ServicePolicy::default();
    below
        .set(PolicyField::Scheduler, &"wrr".into())
        .expect("wrr");
    below
        .set(PolicyField::OnePacket, &"true".into())
        .expect("true");
    policy
        .set(PolicyField::Scheduler, &"mh".into())
        .expect("mh");
    assert!(!policy.inherit(PolicyField::Scheduler, &below));
    assert!(policy.inherit(PolicyField::OnePacket, &below));
    assert!(!policy.inherit(PolicyField::Weights, &below));
    let texts: Vec<_> = policy.values().collect();
    let expected = [
        (PolicyField::Scheduler, "mh"),
        (PolicyField::OnePacket, "true"),
    ];
    assert_eq!(
        texts,
        expected.map(|(field, text)| (field, text.to_owned()))
    );
}

#[test]
fn rules_select_by_namespace_and_labels() {
    let values = |values: &[&str]| values.iter().map(|value| Name::from(*value)).collect();
    let rule = PolicyRule {
        name: "batch".into(),
        namespaces: vec![Pattern::new("batch"), Pattern::new("team-*")],
        labels: LabelSelector(vec![
            ("tier".into(), Requirement::In(values(&["back", "middle"]))),
            ("legacy".into(), Requirement::DoesNotExist),
            ("mode".into(), Requirement::NotIn(values(&["off"]))),
            ("app".into(), Requirement::Exists),
        ]),
        policy: ServicePolicy::default(),
    };
    let selects = |namespace: &str, labels: &[(&str, &str)]| {
        let labels: Vec<_> = (labels.iter())
            .map(|(key, value)| (Name::from(*key), Name::from(*value)))
            .collect();
        rule.selects(&ObjectName::new(namespace, "web"), &labels)
    };
    let fits = [("tier", "back"), ("app", "x")];
    assert!(selects("batch", &fits));
    assert!(selects("team-7", &fits));
    assert!(!selects("teams", &fits));
    assert!(!selects("batch", &fits[1..]));
    assert!(!selects("batch", &fits[..1]));
    assert!(!selects("batch", &[("tier", "front"), ("app", "x")]));
    assert!(!selects("batch", &[fits[0], fits[1], ("legacy", "")]));
    assert!(!selects("batch", &[fits[0], fits[1], ("mode", "off")]));
    assert!(selects("batch", &[fits[0], fits[1], ("mode", "on")]));
}

/// No text makes a reading fail in another way than by its error.
#[test]
fn every_text_is_read_or_refused() {
    proptest::proptest!(|(text in ".{0,80}")| {
        for field in PolicyField::ALL {
            if let Ok(written) = read(*field, &text) {
                assert_eq!(read(*field, &written).as_ref(), Ok(&written));
            }
        }
    });
}

#[test]
fn long_annotations_are_cut_and_refused_later() {
    let annotation = Annotation::new(&"é".repeat(100), &"é".repeat(5_000));
    assert!(annotation.name.len() <= 256);
    assert!(annotation.value.len() > Annotation::MAX_LENGTH);
    assert!(annotation.value.len() < Annotation::MAX_LENGTH + 8);
    assert_eq!(
        &*Annotation::new("", " a\n\u{202e}\n").value,
        r"a\n\u{202e}"
    );
    assert!(
        Annotation::new("", &"\u{202e}".repeat(1_000)).value.len() < Annotation::MAX_LENGTH + 8
    );
}
