//! Files with VirtualServers.

use super::*;

/// Reads one VirtualServer with these lines of its specification.
fn virtual_server(spec: &[&str]) -> FileObjects {
    let lines: String = spec.iter().map(|line| format!("  {line}\n")).collect();
    let text = format!(
        "apiVersion: kube-ipvs.io/v1alpha1\nkind: VirtualServer\nmetadata: {{name: web}}\nspec:\n{lines}"
    );
    parse(Path::new("f"), &text)
}

/// Returns the lines of `ipvsadm-save` for the only object.
fn entry(found: &FileObjects) -> Vec<String> {
    let [Object::VirtualServer(server)] = found.objects.as_slice() else {
        panic!("one VirtualServer: {found:?}");
    };
    assert_eq!(server.name, ObjectName::virtual_server("default", "web"));
    let key = server.server.key;
    let real_servers = server.real_servers.iter();
    std::iter::once(ipvs::text::print_virtual_server(&server.server))
        .chain(real_servers.map(|real| ipvs::text::print_real_server(&key, real)))
        .collect()
}

#[test]
fn virtual_servers_are_read() {
    let found = virtual_server(&[
        "address: 192.0.2.1",
        "port: 80",
        "realServers:",
        "- address: 10.0.0.1",
        "- {address: 10.0.0.2, port: 8080, weight: 0, upperThreshold: 9, lowerThreshold: 3}",
    ]);
    assert_eq!((&found.errors, &found.warnings), (&vec![], &vec![]));
    assert_eq!(
        entry(&found),
        [
            "-A -t 192.0.2.1:80 -s wlc",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 0 -x 9 -y 3",
        ]
    );
    let found = virtual_server(&[
        "fwmark: 7",
        "family: IPv6",
        "scheduler: sh",
        "schedulerFlags: [sh-port]",
        "onePacket: true",
        "persistence: {prefixLength: 64, engine: sip}",
        "forwarding: tunnel",
        "tunnel: {type: gue, port: 6080, checksum: remote}",
        "realServers:",
        "- {address: \"fd00::1\"}",
        "- {address: \"fd00::2\", forwarding: direct}",
        "- {address: \"fd00::3\", tunnel: {type: gre}}",
    ]);
    assert_eq!(
        entry(&found),
        [
            "-A -f 7 -6 -s sh -p 360 -M 64 --pe sip -o -b sh-port",
            "-a -f 7 -6 -r [fd00::1]:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
            "-a -f 7 -6 -r [fd00::2]:0 -g -w 1",
            "-a -f 7 -6 -r [fd00::3]:0 -i -w 1 --tun-type gre --tun-nocsum",
        ]
    );
}

#[test]
fn virtual_servers_have_fields_of_a_policy() {
    let found = virtual_server(&[
        "address: 192.0.2.1",
        "port: 80",
        "drainTimeout: 2m",
        "udpDrainTimeout: null",
        "connectionLimits: {upper: 9, lower: 3}",
        "healthCheck: {type: tcp, port: 81, fall: 2}",
        "realServers:",
        "- {address: 10.0.0.1}",
        "- {address: 10.0.0.2, upperThreshold: 5}",
        "- {address: 10.0.0.3, upperThreshold: 0}",
        "- {address: 10.0.0.4, lowerThreshold: 2}",
    ]);
    assert_eq!((&found.errors, &found.warnings), (&vec![], &vec![]));
    assert_eq!(
        entry(&found)[1..],
        [
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1 -x 9 -y 3",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1 -x 5",
            "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -m -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.4:80 -m -w 1 -x 9 -y 2",
        ]
    );
    let [Object::VirtualServer(server)] = found.objects.as_slice() else {
        panic!("one VirtualServer: {found:?}");
    };
    let policy = server.policy.as_ref().expect("a policy");
    let values: Vec<String> = (policy.values())
        .map(|(field, value)| format!("{}: {value}", field.name()))
        .collect();
    assert_eq!(
        values,
        [
            "drainTimeout: 2m0s",
            "healthCheck: type=tcp, interval=5s, timeout=1s, rise=2, fall=2, port=81, onFailure=quiesce, \
             panicThreshold=50",
        ]
    );
}

#[test]
fn mistakes_of_virtual_servers_name_their_field() {
    let address: &[&str] = &["address: 192.0.2.1", "port: 80"];
    let check = |spec: &[&str], line: u32, expected: &str| {
        let found = virtual_server(spec);
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let [error] = errors.as_slice() else {
            panic!("one error: {errors:?}");
        };
        let place = format!("f:{line}:");
        assert!(error.starts_with(&place), "{error}");
        let (_, text) = error
            .split_once("VirtualServer default/web: ")
            .expect("the object");
        assert_eq!(text, format!("{expected}; the object is ignored"));
        assert!(found.objects.is_empty());
    };
    check(
        &[address, &["sheduler: rr"]].concat(),
        7,
        "spec.sheduler: unknown field (did you mean scheduler?)",
    );
    check(
        &[address, &["realServers:", "- {adress: 10.0.0.1}"]].concat(),
        8,
        "spec.realServers[0].adress: unknown field (did you mean address?)",
    );
    check(
        &["address: 192.0.2.300", "port: 80"],
        5,
        "spec.address: invalid IP address syntax",
    );
    check(&["address: 192.0.2.1"], 5, "spec: port is missing");
    check(&["scheduler: rr"], 5, "spec: address or fwmark is missing");
    check(
        &[address, &["fwmark: 1"]].concat(),
        7,
        "spec.fwmark: address and fwmark exclude each other: delete one of them",
    );
    check(
        &[address, &["family: IPv4"]].concat(),
        7,
        "spec.family: only fwmark has a family: delete the field",
    );
    check(
        &["fwmark: 1", "port: 80"],
        6,
        "spec.port: fwmark selects the packets of every port and protocol: delete the field",
    );
    check(
        &["fwmark: 1", "bind: true"],
        6,
        "spec.bind: a firewall mark has no address to bind: delete the field",
    );
    check(
        &[
            address,
            &["scheduler: rr", "schedulerFlags: [flag-1, sh-port]"],
        ]
        .concat(),
        8,
        "spec.schedulerFlags[1]: `sh-port` is not a flag of scheduler rr",
    );
    for (field, problem) in [
        ("drainTimeout: 25h", "`25h` is longer than 24h0m0s"),
        ("udpDrainTimeout: [5s]", "must be one value, not a list"),
        ("connectionLimits: {lower: 3}", "needs upper=NUMBER above 0"),
        ("healthCheck: type=ping", "type: `ping` is none of "),
        (
            "healthCheck: {type: [tcp]}",
            "must be a text or a number, not a list",
        ),
    ] {
        let found = virtual_server(&[address, &[field]].concat());
        let [error] = found.errors.as_slice() else {
            panic!("one error: {:?}", found.errors);
        };
        let name = field.split(':').next().expect("a name");
        let expected = format!("spec.{name}: {problem}");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    check(
        &[address, &["realServers: [{address: 10.0.0.1, tunnel: {}}]"]].concat(),
        7,
        "spec.realServers[0].tunnel: only forwarding: tunnel encapsulates: set it, or delete the field",
    );
}

#[test]
fn a_misspelt_virtual_server_causes_a_warning() {
    for (version, kind, warns) in [
        ("kube-ipvs.io/v1alpha1", "VirtualSever", true),
        ("kube-ipvs.io/v1", "VirtualServer", true),
        ("v1", "VirtualServer", true),
        ("kube-ipvs.io/v1alpha1", "Virtualserver", true),
        ("k8s.nginx.org/v1", "VirtualServer", false),
        ("networking.istio.io/v1", "VirtualService", false),
    ] {
        let text = format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}}}");
        let found = parse(Path::new("f"), &text);
        assert_eq!(found.warnings.len(), usize::from(warns), "{version} {kind}");
        assert_eq!((found.errors.len(), found.objects.len()), (0, 0));
    }
}
