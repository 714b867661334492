use super::*;

fn check_error(text: &str, expected: &str) {
    let error = parse(Path::new("n.yaml"), text).expect_err("an error");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_node_state_is_read() {
    let text = "nodeName: Node1\nkernel: 6.1.176\ninterfaces:\n\
        - {name: vec0, addresses: [192.168.77.10/24, \"fd77::10/64\"]}\n\
        - {name: lo, addresses: [127.0.0.1/8, \"::1\"]}\n";
    let found = parse(Path::new("n.yaml"), text).expect("a node state");
    assert_eq!(found.node_name.as_deref(), Some("node1"));
    let interfaces: Vec<_> = (found.state.interfaces.iter())
        .map(|interface| {
            (
                &*interface.name,
                interface
                    .addresses
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(
        interfaces,
        [
            ("lo", vec!["127.0.0.1/8".to_owned(), "::1/128".to_owned()]),
            (
                "vec0",
                vec!["192.168.77.10/24".to_owned(), "fd77::10/64".to_owned()]
            ),
        ]
    );
}

#[test]
fn errors_have_places() {
    check_error(
        "interfaces:\n- name: lo\n  addresses: [127.0.0.300/8]\n",
        "n.yaml: interfaces[0].addresses[0]: \"127.0.0.300/8\" is not an address with a prefix length, such as 192.0.2.7/24",
    );
    check_error(
        "interfaces:\n- name: [lo]\n",
        "n.yaml:2:9: interfaces[0].name: invalid type: sequence, expected a string",
    );
    check_error(
        "a: 1\n---\nb: 1\n",
        "n.yaml: expected one YAML or JSON document, found 2",
    );
}

#[test]
fn the_default_is_both_families() {
    let missing = |text: &str| {
        let found = parse(Path::new("n.yaml"), text).expect("a node state");
        let missing = found.state.missing;
        missing.map(|missing| (missing.family.to_string(), missing.gap))
    };
    let lacks = |family: &str| Some((family.to_owned(), FamilyGap::Described));
    assert_eq!(missing("nodeName: node1\n"), None);
    assert_eq!(missing("families: [IPv6, IPv4]\n"), None);
    assert_eq!(missing("families: [IPv4]\n"), lacks("IPv6"));
    assert_eq!(missing("families: [IPv6]\n"), lacks("IPv4"));
    check_error(
        "families: []\n",
        "n.yaml: families: the list is empty; name at least one family",
    );
    check_error(
        "families: [ipv4]\n",
        "n.yaml:1:12: families[0]: unknown variant `ipv4`, expected `IPv4` or `IPv6`",
    );
}

#[test]
fn a_keepalive_is_complete() {
    let text = "keepalive: {time: 600, interval: 30, probes: 5}";
    let file = parse(Path::new("n.yaml"), text).expect("a node state");
    let keepalive = Keepalive {
        time: 600,
        interval: 30,
        probes: 5,
    };
    assert_eq!(file.state.machine.keepalive, Some(keepalive));
    check_error(
        "keepalive: {time: 600}\n",
        "n.yaml:1:12: keepalive: missing field `interval`",
    );
}

#[test]
fn a_written_node_state_reads_back() {
    let text = "nodeName: node1\nkernel: '6.1'\nprocessors: 4\ninterfaces:\n\
        - {name: lo, addresses: [127.0.0.1/8, \"::1\"]}\n- {name: eth0}\n";
    for text in [
        text,
        "interfaces: []",
        "kernel: 5.15.0-rc1",
        "keepalive: {time: 0, interval: 75, probes: 9}",
        "families: [IPv6]",
    ] {
        let file = parse(Path::new("n.yaml"), text).expect("a node state");
        let written = serde_json::to_string(&file).expect("JSON");
        let again = parse(Path::new("n.json"), &written).expect("a written node state");
        assert_eq!(again, file, "{written}");
    }
}
