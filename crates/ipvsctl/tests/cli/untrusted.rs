//! Hostile text of objects, files and answers in the output of the program.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::folder::{Folder, Ran};

/// Characters that control terminals, end lines, reverse text or have no width.
const HOSTILE: [char; 20] = [
    '\n', '\r', '\t', '\0', '\u{1b}', '\u{7}', '\u{8}', '\u{7f}', '\u{85}', '\u{9b}', '\u{9d}',
    '\u{61c}', '\u{200b}', '\u{200e}', '\u{202a}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}',
    '\u{feff}',
];

/// Beginning of a forged log line.
const FORGED: &str = "FORGED";

/// Returns a long text with `character`, which forges a log line if `character` ends a line.
fn hostile(character: char) -> String {
    let commands = "]0;title\u{7}\u{1b}[2J\u{1b}[31m";
    format!(
        "a{character}{FORGED} error{character}{commands}{}",
        "q".repeat(5_000)
    )
}

/// Returns objects with `text` in every text field that is read.
fn objects(text: &str, number: usize) -> Vec<Value> {
    let object = |kind: &str, api_version: &str, rest: Value| {
        let mut object = json!({"apiVersion": api_version, "kind": kind});
        let fields = rest.as_object().expect("fields").clone();
        object.as_object_mut().expect("an object").extend(fields);
        object
    };
    let name = format!("{number}{text}");
    let spec = |number: usize, fields: Value| {
        let mut spec = json!({
            "type": "LoadBalancer",
            "clusterIPs": [format!("10.96.0.{number}")],
            "ports": [{"name": text, "port": 80, "nodePort": 30000 + number}],
        });
        (spec.as_object_mut().expect("a spec")).extend(fields.as_object().expect("fields").clone());
        spec
    };
    vec![
        object(
            "Service",
            "v1",
            json!({
                "metadata": {
                    "name": name, "namespace": text,
                    "annotations": {"kube-ipvs.io/scheduler": text},
                },
                "spec": spec(number + 1, json!({
                    "externalIPs": [text], "loadBalancerSourceRanges": [text],
                    "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000 + number,
                })),
                "status": {"loadBalancer": {"ingress": [{"ip": text}]}},
            }),
        ),
        // The same address again, since the finding about it names both Services.
        object(
            "Service",
            "v1",
            json!({
                "metadata": {"name": format!("too {name}"), "namespace": text},
                "spec": spec(number + 1, json!({"externalTrafficPolicy": "Local", "healthCheckNodePort": 31000 + number})),
            }),
        ),
        object(
            "Service",
            "v1",
            json!({
                "metadata": {"name": format!("odd {name}"), "namespace": text},
                "spec": {"clusterIPs": [text], "ports": [{"name": text, "port": 80, "protocol": text}]},
            }),
        ),
        object(
            "EndpointSlice",
            "discovery.k8s.io/v1",
            json!({
                "metadata": {
                    "name": name, "namespace": text,
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "endpoints": [
                    {"addresses": ["10.1.0.1"], "nodeName": text, "hints": {"forZones": [{"name": text}]}},
                    {"addresses": [text]},
                ],
                "ports": [{"name": text, "port": 8080}, {"name": text, "port": 8081, "protocol": text}],
            }),
        ),
        object(
            "EndpointSlice",
            "discovery.k8s.io/v1",
            json!({
                "metadata": {"name": format!("alone {name}"), "namespace": text},
                "addressType": text, "endpoints": [],
            }),
        ),
        object(
            "Node",
            "v1",
            json!({
                "metadata": {"name": name},
                "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]},
            }),
        ),
        // An unknown kind, and objects that cannot be decoded.
        object(text, "v1", json!({"metadata": {"name": text}})),
        object(
            "Service",
            "v1",
            json!({"metadata": {"name": text}, "spec": {"ports": [{"port": text}]}}),
        ),
        object(
            "Service",
            "v1",
            json!({"metadata": {"name": text}, "spec": {"type": {text: 1}}}),
        ),
    ]
}

fn manifest(texts: impl IntoIterator<Item = String>) -> String {
    let items: Vec<Value> = (texts.into_iter().enumerate())
        .flat_map(|(number, text)| objects(&text, number))
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Returns `text` without the colours of the program.
fn without_colors(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        let end = after.find(|c: char| !c.is_ascii_digit() && c != ';');
        let end = end.filter(|end| after[*end..].starts_with('m'));
        plain.push_str(before);
        match end {
            Some(end) => rest = &after[end + 1..],
            None => {
                plain.push('\u{1b}');
                rest = after;
            }
        }
    }
    plain + rest
}

/// Returns true for characters that control terminals, end lines or reverse text.
fn is_odd(c: char) -> bool {
    let ranges = [
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
    ];
    c.is_control() || HOSTILE.contains(&c) || ranges.iter().any(|range| range.contains(&c))
}

#[track_caller]
fn check(args: &str, text: &str) {
    for (number, line) in text.split('\n').enumerate() {
        let odd = line.chars().find(|c| is_odd(*c));
        assert_eq!(odd, None, "{args}: line {number}: {line:?}");
        assert!(!line.starts_with(FORGED), "{args}: line {number}: {line:?}");
        assert!(
            !line.contains(&"q".repeat(256)),
            "{args}: line {number}: {line:?}"
        );
    }
}

fn folder() -> Folder {
    folder_of(HOSTILE.map(hostile))
}

fn folder_of(texts: impl IntoIterator<Item = String>) -> Folder {
    Folder::new()
        .with("hostile.json", &manifest(texts))
        .with("node.yaml", "nodeName: node1\nkernel: 6.1.176\ninterfaces:\n  - {name: eth0, addresses: [192.168.77.10/24]}\n")
        .with("live.txt", "# ipvs\n-A -t 10.96.0.200:80 -s rr\n# addresses\n")
}

#[test]
fn hostile_text_is_escaped_and_cut_in_text_output() {
    let folder = folder();
    for args in [
        "analyze -f hostile.json --node-state node.yaml",
        "-vvv analyze -f hostile.json --node-state node.yaml --level info",
        "render -f hostile.json --node-state node.yaml",
        "-vvv render -f hostile.json --node-state node.yaml",
        "diff -f hostile.json --node-state node.yaml --live live.txt",
        "--color always diff -f hostile.json --node-state node.yaml --live live.txt",
        "--color always analyze -f hostile.json --node-state node.yaml",
    ] {
        let Ran { out, err, .. } = folder.run(args);
        check(args, &without_colors(&out));
        check(args, &without_colors(&err));
        assert!(err.contains(r"a\n"), "{args}: the escaped text is missing");
    }
}

#[test]
fn hostile_text_is_escaped_and_cut_in_json() {
    let folder = folder();
    for args in [
        "analyze -f hostile.json --node-state node.yaml -o json",
        "render -f hostile.json --node-state node.yaml -o json",
        "diff -f hostile.json --node-state node.yaml --live live.txt -o json",
    ] {
        let ran = folder.run(args);
        ran.json();
        check(args, &ran.out);
    }
}

/// Checks the output of the command `args`, which may fail.
#[track_caller]
fn check_ran(folder: &Folder, args: &str) {
    let Ran { out, err, .. } = folder.run(args);
    check(args, &without_colors(&out));
    check(args, &without_colors(&err));
}

/// Returns text with hostile characters between other ones.
fn any_hostile() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(HOSTILE.to_vec());
    let character = prop_oneof![odd, any::<char>(), prop::char::range('a', 'z')];
    (prop::collection::vec(character, 1..40), 0..600_usize).prop_map(|(characters, tail)| {
        let text: String = characters.into_iter().collect();
        format!("{text}{}", "q".repeat(tail))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_of_objects_is_escaped(texts in prop::collection::vec(any_hostile(), 12)) {
        let folder = folder_of(texts);
        for args in [
            "-vvv analyze -f hostile.json --node-state node.yaml --level info",
            "analyze -f hostile.json --node-state node.yaml -o json",
            "-vvv render -f hostile.json --node-state node.yaml",
            "render -f hostile.json --node-state node.yaml -o json",
            "render -f hostile.json --node-state node.yaml -o yaml",
            "--color always diff -f hostile.json --node-state node.yaml --live live.txt",
            "diff -f hostile.json --node-state node.yaml --live live.txt -o json",
            "diff -f hostile.json --node-state node.yaml --live live.txt -o yaml",
            "explain ip 10.96.0.1 -f hostile.json --node-state node.yaml --live live.txt",
            "explain ip 192.0.2.7 -f hostile.json --node-state node.yaml --live live.txt -o json",
        ] {
            check_ran(&folder, args);
        }
    }

    /// Text of the administrator's files is escaped but not cut, so the test uses short texts.
    #[test]
    fn text_of_files_is_escaped(text in any_hostile()) {
        let text: String = text.chars().take(40).collect();
        let word: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let folder = Folder::new()
            .with("objects.json", &text)
            .with("tables.txt", &format!("# ipvs\n-A -t 10.96.0.200:80 -s {word}\n-a {word}\n{text}\n# addresses\n{text}\n"))
            .with("scheduler.txt", &format!("# ipvs\n-A -t 10.96.0.200:80 -s {word}\n# addresses\n"))
            .with("tables.json", &json!({"kind": text, text.as_str(): text}).to_string())
            .with("state.json", &json!({"nodeName": text, "kernel": text, "interfaces": [{"name": text}]}).to_string())
            .with("odd-state.json", &json!({"nodeName": [], text.as_str(): text}).to_string())
            .with("config.json", &json!({
                "apiVersion": "kube-ipvs.io/v1alpha1", "kind": "KubeIpvsConfiguration",
                "clientConnection": {"kubeconfig": format!("/{text}")},
            }).to_string())
            .with("odd-config.json", &json!({
                "apiVersion": "kube-ipvs.io/v1alpha1", "kind": "KubeIpvsConfiguration", text.as_str(): text,
                "ipvs": {"scheduler": text, "syncPeriod": text, text.as_str(): 1}, "nodePortAddresses": [text],
            }).to_string());
        for args in [
            "analyze -f objects.json --node node1",
            "render -f objects.json --node-state state.json",
            "render -f objects.json --node-state odd-state.json",
            "diff -f objects.json --node node1 --live tables.txt",
            "diff -f objects.json --node node1 --live scheduler.txt",
            "diff -f objects.json --node node1 --live tables.json",
            "get servers --live tables.txt",
            "get servers --live scheduler.txt",
            "get servers --live scheduler.txt -o wide",
            "get tables --live scheduler.txt -o json",
            "get tables --live scheduler.txt -o yaml",
            "get tables --live scheduler.txt -o text",
            "config check config.json",
            "config check odd-config.json",
            "config show --config config.json",
            "config show --config config.json -o json",
            "config show --config config.json -o yaml",
            "config show --config odd-config.json",
        ] {
            check_ran(&folder, args);
        }
    }

    #[test]
    fn text_of_answers_is_escaped(text in any_hostile()) {
        let text: String = text.chars().take(40).collect();
        let drains = json!([{
            "virtualServer": text, "realServer": text, "service": text, "since": text,
            "activeConnections": 1, "inactiveConnections": 2, "ends": text,
        }]);
        let folder = Folder::new();
        for page in [drains.to_string(), text] {
            for format in ["table", "wide", "json", "yaml"] {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("an address");
                let page = page.clone();
                let server = std::thread::spawn(move || answer(&listener, &page));
                check_ran(&folder, &format!("get drains --metrics-address {address} -o {format}"));
                // Ends the server if ipvsctl did not connect.
                drop(std::net::TcpStream::connect(address));
                server.join().expect("a server");
            }
        }
    }
}

/// Answers one request with `page`.
fn answer(listener: &TcpListener, page: &str) {
    let (mut stream, _) = listener.accept().expect("a connection");
    let _ = stream.read(&mut [0; 4096]);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
    let _ = stream.write_all((head + page).as_bytes());
}

#[test]
fn unknown_scheduler_of_a_service_is_reported_and_replaced() {
    let service = |number: usize, scheduler: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("s{number}"), "annotations": {"kube-ipvs.io/scheduler": scheduler}},
            "spec": {"clusterIPs": [format!("10.96.0.{number}")], "ports": [{"port": 80}]},
        })
    };
    let long = "x".repeat(250_000);
    let unknown = [
        "x0",
        "ftp",
        "pe_sip",
        "",
        "WRR",
        "r r",
        "rr\nmh",
        "\u{1b}[2J",
        &long,
    ];
    let mut items: Vec<Value> = (1..)
        .zip(unknown)
        .map(|(number, name)| service(number, name))
        .collect();
    items.push(service(100, " mh\n"));
    let folder = Folder::new()
        .with(
            "s.json",
            &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string(),
        )
        .with("live.txt", "# ipvs\n# addresses\n");
    let found = folder.run("analyze -f s.json --node node1").exits(1);
    assert_eq!(
        found.out.matches("KIV0115 error Service default/s").count(),
        unknown.len()
    );
    let rendered = folder
        .run("render -f s.json --node node1 --section ipvs")
        .exits(0);
    let servers = |scheduler: &str| {
        let end = format!(" -s {scheduler}");
        rendered
            .out
            .lines()
            .filter(|line| line.starts_with("-A") && line.contains(&end))
            .count()
    };
    assert_eq!(servers("rr"), unknown.len(), "{}", rendered.out);
    assert_eq!(servers("mh"), 1, "{}", rendered.out);
    assert_eq!(rendered.err.matches("KIV0115").count(), unknown.len());
    let plan = folder
        .run("diff -f s.json --node node1 --live live.txt")
        .exits(1);
    assert_eq!(
        plan.out.matches(" -s rr").count(),
        unknown.len(),
        "{}",
        plan.out
    );
}
