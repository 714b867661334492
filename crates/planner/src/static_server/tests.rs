mod checks;

use model::cluster::{ClusterState, Object, StaticServer};
use model::snapshot::{NodeState, Snapshot};
use model::{ClusterEvent, Code, Desired, ObjectKind, ObjectName, text};

use crate::testing::{Scene, after, compiler, config, eth0, live, own, service, texts};
use crate::{Ownership, diff};

/// Returns VirtualServer `default/NAME` with the lines of `ipvsadm-save`.
fn server(name: &str, lines: &str) -> StaticServer {
    let mut virtual_server = None;
    let mut real_servers = Vec::new();
    for line in ipvs::text::parse_lines(lines).expect("lines of ipvsadm-save") {
        match line {
            ipvs::text::Line::VirtualServer(found) => virtual_server = Some(found),
            ipvs::text::Line::RealServer(_, found) => real_servers.push(found),
        }
    }
    StaticServer {
        name: ObjectName::virtual_server("default", name),
        server: virtual_server.expect("a virtual server"),
        real_servers,
        bind: true,
        masquerade_source: false,
        policy: None,
    }
}

const WEB: &str = "-A -t 192.0.2.10:80 -s wlc\n-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 1\n";

fn state(objects: impl IntoIterator<Item = Object>) -> ClusterState {
    let mut state = ClusterState::default();
    for object in objects {
        state.absorb(ClusterEvent::Upsert(object));
    }
    state
}

fn compile(objects: impl IntoIterator<Item = StaticServer>) -> (Desired, Vec<String>) {
    let state = state(objects.into_iter().map(Object::VirtualServer));
    let (desired, findings) = crate::compile(&state, &NodeState::default(), &config());
    (desired, texts(findings))
}

/// Checks the lines of all tables except rules and settings.
fn check(objects: impl IntoIterator<Item = StaticServer>, lines: &[&str], findings: &[&str]) {
    let (desired, found) = compile(objects);
    assert_eq!(entries(&desired), lines);
    assert_eq!(found, findings);
}

/// Returns virtual servers, real servers, addresses and set entries as text.
fn entries(desired: &Desired) -> Vec<String> {
    let text = text::print(&desired.tables);
    let is_entry = |line: &&str| {
        ["-A -", "-a -", "ip addr", "add "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let mut lines: Vec<String> = text.lines().filter(is_entry).map(str::to_owned).collect();
    lines.extend(
        desired
            .tables
            .addresses
            .iter()
            .map(|at| format!("address {at}")),
    );
    lines.retain(|line| !line.starts_with("ip addr"));
    lines
}

#[test]
fn masquerading_server_is_bound_and_keeps_the_client() {
    check(
        [server("web", WEB)],
        &[
            "-A -t 192.0.2.10:80 -s wlc",
            "-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 1",
            "add KUBE-EXTERNAL-IP-LOCAL 192.0.2.10,tcp:80",
            "add KUBE-IPVS-IPS 192.0.2.10",
            "address 192.0.2.10",
        ],
        &[],
    );
}

#[test]
fn masquerade_source_selects_the_other_set() {
    let object = StaticServer {
        masquerade_source: true,
        bind: false,
        ..server("web", WEB)
    };
    check(
        [object],
        &[
            "-A -t 192.0.2.10:80 -s wlc",
            "-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 1",
            "add KUBE-EXTERNAL-IP 192.0.2.10,tcp:80",
        ],
        &[],
    );
}

#[test]
fn firewall_mark_has_no_address_and_an_entry_that_matches_no_packet() {
    for (lines, entry) in [
        (
            "-A -f 7 -s rr\n-a -f 7 -r 10.0.0.1:0 -g -w 3",
            "add KUBE-EXTERNAL-IP-LOCAL 0.0.0.7,255:0",
        ),
        (
            "-A -f 4294967295 -6 -s mh -p 60 -M 64 -b mh-port\n-a -f 4294967295 -6 -r [fd00::1]:0 -g -w 3",
            "add KUBE-6-EXTERNAL-IP-LOCAL ::ffff:ffff,255:0",
        ),
    ] {
        let expected: Vec<&str> = lines.lines().chain([entry]).collect();
        check([server("mark", lines)], &expected, &[]);
    }
}

#[test]
fn every_port_of_an_address_stays_reachable() {
    let all = "-A -t 192.0.2.10:0 -s rr -p 60\n-a -t 192.0.2.10:0 -r 10.0.0.1:0 -g -w 1\n";
    let lines = [
        "-A -t 192.0.2.10:0 -s rr -p 60",
        "-a -t 192.0.2.10:0 -r 10.0.0.1:0 -g -w 1",
        "add KUBE-EXTERNAL-IP-LOCAL 192.0.2.10,tcp:0",
        "address 192.0.2.10",
    ];
    check([server("all", all)], &lines, &[]);

    // KUBE-IPVS-IPS, by which other ports are refused, follows the last such virtual server.
    let mut scene = Scene::new(ClusterState::default(), compiler(), &NodeState::default());
    for object in [server("web", WEB), server("all", all)] {
        scene.apply(ClusterEvent::Upsert(Object::VirtualServer(object)));
    }
    let bound = "add KUBE-IPVS-IPS 192.0.2.10".to_owned();
    assert!(!entries(scene.compiler.desired()).contains(&bound));
    let all = ObjectName::virtual_server("default", "all");
    scene.apply(ClusterEvent::Delete(ObjectKind::VirtualServer, all));
    assert!(entries(scene.compiler.desired()).contains(&bound));
    assert_eq!(
        scene.compiler.desired(),
        &crate::compile(&scene.state, &NodeState::default(), &config()).0
    );
}

#[test]
fn address_of_an_interface_is_not_bound() {
    let object = Object::VirtualServer(server("web", WEB));
    let mut scene = Scene::new(state([object]), compiler(), &eth0(&["192.0.2.10/24"]));
    let addresses = |scene: &Scene| scene.compiler.desired().tables.addresses.len();
    assert_eq!(addresses(&scene), 0);
    assert_eq!(
        texts(scene.compiler.findings()),
        [
            "KIV0107 warning VirtualServer default/web: spec.bind: 192.0.2.10 is an address of this node; it is \
             served, and not bound to kube-ipvs0; set spec.bind to false if it stays there"
        ]
    );
    // The address moves, for example by VRRP.
    scene.look_at_node(&eth0(&["192.0.2.7/24"]));
    assert_eq!(addresses(&scene), 1);
    assert_eq!(scene.compiler.findings().count(), 0);
}

#[test]
fn a_virtual_server_precedes_services() {
    let state = state([
        Object::VirtualServer(server("web", &WEB.replace("192.0.2.10", "10.96.0.1"))),
        Object::VirtualServer(server("web2", &WEB.replace("192.0.2.10", "10.96.0.2"))),
        Object::VirtualServer(server("web3", &WEB.replace("192.0.2.10", "10.96.0.2"))),
        Object::Service(service("web", &["10.96.0.1"])),
    ]);
    let (desired, findings) = crate::compile(&state, &NodeState::default(), &config());
    let clashes = findings
        .into_iter()
        .filter(|finding| finding.code == Code::ServiceClash);
    assert_eq!(
        texts(clashes),
        [
            "KIV0201 error Service default/web: spec.ports: 10.96.0.1:80/TCP is also claimed by VirtualServer \
             default/web, which precedes every Service; default/web:http is not served there",
            "KIV0201 error VirtualServer default/web3: spec.address: 10.96.0.2:80/TCP is also claimed by \
             VirtualServer default/web2, which precedes it by name; VirtualServer default/web3 is not served there",
        ]
    );
    let owners = desired.owners.virtual_servers.values();
    assert_eq!(
        texts(owners),
        ["VirtualServer default/web", "VirtualServer default/web2"]
    );
}

#[test]
fn resources_of_nodes_are_refused() {
    let mut other = crate::testing::node("node2", &["192.0.2.10"]);
    let object = Object::VirtualServer(server("web", WEB));
    let mut scene = Scene::new(
        state([object, Object::Node(other.clone())]),
        compiler(),
        &eth0(&[]),
    );
    assert_eq!(
        texts(
            scene
                .compiler
                .findings()
                .filter(|finding| finding.kind == "VirtualServer")
        ),
        [
            "KIV0108 error VirtualServer default/web: spec.address: 192.0.2.10 is an address of Node node2; the virtual \
             server is not programmed"
        ]
    );
    other.addresses.clear();
    scene.apply(ClusterEvent::Upsert(Object::Node(other)));
    assert_eq!(scene.compiler.desired().tables.virtual_servers.len(), 1);

    let kubelet = server("kubelet", &WEB.replace(":80 ", ":10250 "));
    scene.apply(ClusterEvent::Upsert(Object::VirtualServer(kubelet)));
    assert_eq!(scene.compiler.desired().tables.virtual_servers.len(), 2);
    scene.look_at_node(&eth0(&["192.0.2.10/24"]));
    let refused = scene
        .compiler
        .findings()
        .find(|finding| finding.code == Code::HostPort);
    assert_eq!(
        texts(refused),
        [
            "KIV0117 error VirtualServer default/kubelet: spec.port: the kubelet needs port 10250 of this node; the \
             virtual server is not programmed"
        ]
    );
}

/// Checks the findings about a virtual server of which nothing is programmed.
fn refused(lines: &str, findings: &[&str]) {
    check([server("web", lines)], &[], findings);
}

#[test]
fn settings_that_the_kernel_refuses_are_reported() {
    let prefix = "KIV0140 error VirtualServer default/web: ";
    refused(
        "-A -t 192.0.2.10:0 -s rr",
        &[&format!(
            "{prefix}spec.port: port 0, which means every port, needs spec.persistence; the virtual server is not programmed"
        )],
    );
    refused(
        "-A -t 192.0.2.10:80 -s wlcc -o",
        &[
            &format!(
                "{prefix}spec.onePacket: ONE_PACKET does nothing for TCP; the virtual server is not programmed"
            ),
            &format!(
                "{prefix}spec.scheduler: `wlcc` is not a scheduler of Linux: dh, fo, lblc, lblcr, lc, mh, nq, ovf, rr, \
                 sed, sh, twos, wlc, wrr; the virtual server is not programmed"
            ),
        ],
    );
    refused(
        "-A -t 127.0.0.1:80 -s rr",
        &[&format!(
            "{prefix}spec.address: 127.0.0.1 is a loopback address; the virtual server is not programmed"
        )],
    );
    let object = StaticServer {
        masquerade_source: true,
        ..server("web", "-A -f 7 -s rr")
    };
    let finding = format!(
        "{prefix}spec.masqueradeSource: the rules need one address and port to masquerade; the virtual server is \
         not programmed"
    );
    check([object], &[], &[&finding]);
}

#[test]
fn unusable_real_servers_are_left_out() {
    let lines = "-A -t 192.0.2.10:80 -s rr
        -a -t 192.0.2.10:80 -r 10.0.0.1:8080 -g -w 0
        -a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 1
        -a -t 192.0.2.10:80 -r 10.0.0.2:80 -m -w 1 -y 3
        -a -t 192.0.2.10:80 -r [fd00::1]:80 -g -w 1";
    let object = StaticServer {
        bind: false,
        ..server("web", lines)
    };
    let name = "VirtualServer default/web: spec.realServers";
    check(
        [object],
        &[
            "-A -t 192.0.2.10:80 -s rr",
            "-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -g -w 0",
            "add KUBE-EXTERNAL-IP-LOCAL 192.0.2.10,tcp:80",
        ],
        &[
            &format!(
                "KIV0141 error {name}[1]: 10.0.0.1:8080 is already a real server of this object; this real server is \
                 not used"
            ),
            &format!(
                "KIV0141 error {name}[2].lowerThreshold: 10.0.0.2:80: 3 is above the upper threshold 0; this real \
                 server is not used"
            ),
            &format!(
                "KIV0141 error {name}[3].address: [fd00::1]:80: a real server of IPv6 needs a tunnel for IPv4 traffic; \
                 this real server is not used"
            ),
            &format!(
                "KIV0142 info {name}: every real server has weight 0; new connections are refused"
            ),
            &format!(
                "KIV0143 warning {name}[0].port: 10.0.0.1:8080: the port stays 80 instead of 8080: only masquerading \
                 changes it; packets go to port 80"
            ),
        ],
    );
}

#[test]
fn an_entry_of_another_program_is_adopted() {
    let (desired, _) = compile([server("web", WEB), server("mark", "-A -f 7 -s rr")]);
    let mut foreign = Snapshot::default();
    let tables = text::parse("-A -t 192.0.2.10:80 -s rr\n-A -f 7 -s rr\n-A -f 8 -s rr\n");
    foreign.tables = tables.expect("tables");
    let plan = diff(&desired, &foreign, &own());
    assert!(plan.findings.is_empty());
    let after = after(&foreign, &plan);
    let servers = after.tables.virtual_servers.keys();
    assert_eq!(
        texts(servers),
        ["192.0.2.10:80/TCP", "fwmark 7 (IPv4)", "fwmark 8 (IPv4)"]
    );
    assert_eq!(
        after.tables.virtual_servers[&crate::testing::key("192.0.2.10:80")]
            .server
            .scheduler
            .0
            .as_ref(),
        "wlc"
    );
}

#[test]
fn a_later_process_deletes_the_entries_without_an_object() {
    let mark = || server("mark", "-A -f 7 -s rr");
    let (desired, _) = compile([server("web", WEB), mark()]);
    let mut before = live(&desired);
    let foreign = text::parse("-A -f 7 -6 -s rr\n-A -f 8 -s rr\n").expect("tables");
    (before.tables.virtual_servers).extend(foreign.virtual_servers);
    let plan = diff(&Desired::default(), &before, &own());
    let left = after(&before, &plan);
    assert_eq!(
        texts(left.tables.virtual_servers.keys()),
        ["fwmark 8 (IPv4)", "fwmark 7 (IPv6)"]
    );
    // A virtual server that another program makes after kube-proxy has emptied the sets is foreign.
    let mut emptied = before.clone();
    emptied.tables.sets.clear();
    emptied.tables.addresses.clear();
    let plan = diff(&Desired::default(), &emptied, &own());
    let left = after(&emptied, &plan);
    assert_eq!(left.tables.virtual_servers, emptied.tables.virtual_servers);
}

#[test]
fn the_entry_of_a_mark_is_no_address_of_excluded_networks() {
    let (desired, _) = compile([server("mark", "-A -f 7 -s rr")]);
    let own = Ownership {
        exclude_cidrs: vec!["0.0.0.0/0".parse().expect("a network")],
        ..own()
    };
    let plan = diff(&Desired::default(), &live(&desired), &own);
    let left = after(&live(&desired), &plan);
    assert!(left.tables.virtual_servers.is_empty());
    assert!(left.tables.sets.is_empty());
}
