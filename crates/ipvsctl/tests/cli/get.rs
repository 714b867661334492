//! `ipvsctl get servers` and `get connections` on saved tables, and the errors of `top`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use support::pages::serve;

use crate::folder::{Folder, SHOP_TABLES};

const CONNECTIONS: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000201 D431 0A60000A 0050 0AF40105 1F90 ESTABLISHED     899
TCP C0000202 D432 0A60000A 0050 0AF40205 1F90 TIME_WAIT        59
UDP C0000203 13C4 0A600014 13C4 0AF40307 13C4 UDP             299
TCP C0000204 D433 0A600063 0050 0A010203 1F90 SYN_RECV         10
";

const NAMED: &str = "-f shop.yaml --node node1";

fn folder() -> Folder {
    Folder::with_live(SHOP_TABLES).with("conn.txt", CONNECTIONS)
}

/// Returns the cells of a column.
fn column(table: &str, title: &str) -> Vec<String> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let start = heading.find(title).expect("a column");
    let cell = |line: &str| {
        let rest = line.get(start..).unwrap_or_default();
        rest.split("  ")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    lines.map(cell).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn servers_have_the_names_of_their_services() {
    let ran = folder()
        .run(&format!("get servers --live live.txt {NAMED}"))
        .exits(0);
    let names = column(&ran.out, "SERVICE");
    assert_eq!(
        names,
        [
            "default/web:http",
            "voice/phone:ss7",
            "voice/phone:sip",
            "default/web:http"
        ],
        "{}",
        ran.out
    );
}

#[test]
fn servers_without_known_names_have_a_dash() {
    let ran = folder().run("get servers --live live.txt").exits(0);
    assert_eq!(column(&ran.out, "SERVICE"), ["-"; 4]);
    assert_eq!(ran.err, "");
    let ran = folder()
        .run("get servers --live live.txt -f none.yaml --node node1")
        .exits(0);
    assert_eq!(column(&ran.out, "SERVICE"), ["-"; 4]);
}

#[test]
fn names_come_from_kube_ipvsd_if_there_are_no_objects() {
    let address = serve(&[(
        "/owners",
        r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "Owners", "owners": [
            {"address": "10.96.0.10", "port": 80, "protocol": "TCP",
             "service": {"namespace": "default", "name": "web", "port": "http"}},
            {"address": "10.96.0.20", "port": 5060, "protocol": "other",
             "service": {"namespace": "voice", "name": "phone", "port": "sip"}},
            {"newer": true, "service": {"namespace": "voice", "name": "phone", "port": ""}}]}"#,
    )]);
    let get = format!("get servers --live live.txt --metrics-address {address}");
    let ran = folder().run(&get).exits(0);
    let names = column(&ran.out, "SERVICE");
    assert_eq!(names, ["default/web:http", "-", "-", "-"], "{}", ran.out);
    let ran = folder()
        .run(&format!("{get} --service default/web -o json"))
        .exits(0);
    let servers = ran.json()["virtualServers"].clone();
    assert_eq!(servers.as_array().map(Vec::len), Some(1));
}

#[test]
fn an_owner_is_selected_by_kind_and_name() {
    let folder = folder().with(
        "marks.txt",
        "-A -t 10.96.0.10:80 -s rr\n-A -f 7 -6 -s rr\n-A -f 7 -s rr\n",
    );
    let address = serve(&[(
        "/owners",
        r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "Owners", "owners": [
            {"address": "10.96.0.10", "port": 80, "protocol": "TCP",
             "service": {"namespace": "default", "name": "web", "port": "http"}},
            {"fwmark": 7, "family": "IPv6",
             "service": {"kind": "VirtualServer", "namespace": "default", "name": "web", "port": ""}},
            {"fwmark": 7, "family": "IPv9",
             "service": {"kind": "VirtualServer", "namespace": "default", "name": "new", "port": ""}}]}"#,
    )]);
    let get = format!("get servers --live marks.txt --metrics-address {address}");
    let ran = folder.run(&get).exits(0);
    assert!(ran.out.contains("VirtualServer default/web"), "{}", ran.out);
    let selected = |owner: &str| {
        let ran = folder.run_with(&format!("{get} -o json"), |command| {
            command.args(["--service", owner]);
        });
        let servers = ran.exits(0).json()["virtualServers"].clone();
        servers.as_array().expect("a list").clone()
    };
    let of_service = selected("default/web");
    assert_eq!(of_service.len(), 1);
    assert_eq!(of_service[0]["address"], "10.96.0.10");
    assert!(of_service[0]["service"].get("kind").is_none());
    let of_file = selected("VirtualServer default/web");
    assert_eq!(of_file.len(), 1);
    assert_eq!(of_file[0]["fwmark"], 7);
    assert_eq!(of_file[0]["family"], "IPv6");
    assert_eq!(of_file[0]["service"]["kind"], "VirtualServer");
}

#[test]
fn a_kube_ipvsd_without_names_is_no_error() {
    let address = serve(&[("/owners", "<html>")]);
    let get = format!("get servers --live live.txt --metrics-address {address}");
    let ran = folder().run(&get).exits(0);
    assert_eq!(column(&ran.out, "SERVICE"), ["-"; 4]);
    let ran = folder().run(&format!("{get} -n shop")).exits(2);
    assert!(
        ran.err.contains("--metrics-address, -f or --kubeconfig"),
        "{}",
        ran.err
    );
}

#[test]
fn servers_are_selected() {
    let folder = folder();
    for (select, count) in [
        ("-n voice", 2),
        ("--service default/web", 2),
        ("--service default/web --service voice/phone", 4),
        ("--service default/web --vip 10.96.0.10", 1),
        ("--protocol SCTP", 1),
        ("-n nobody", 0),
    ] {
        let ran = folder.run(&format!(
            "get servers --live live.txt -o json {NAMED} {select}"
        ));
        let servers = ran.exits(0).json()["virtualServers"].clone();
        assert_eq!(servers.as_array().map(Vec::len), Some(count), "{select}");
    }
    let ran = folder
        .run(&format!("get servers --live live.txt {NAMED} -n nobody"))
        .exits(0);
    assert_eq!(ran.out, "No virtual server is selected.\n");
}

#[test]
fn selecting_by_name_needs_names() {
    let ran = folder()
        .run("get servers --live live.txt -n voice")
        .exits(2);
    assert!(ran.err.contains("--namespace"), "{}", ran.err);
    assert!(ran.err.contains("-f"), "{}", ran.err);
}

#[test]
fn saved_tables_have_no_counters() {
    for option in ["--stats", "--rate", "--sort-by bytes"] {
        let ran = folder()
            .run(&format!("get servers --live live.txt {option}"))
            .exits(2);
        assert!(ran.err.contains("contain no counters"), "{}", ran.err);
    }
}

#[test]
fn connections_have_the_names_of_their_services() {
    let ran = folder()
        .run(&format!("get connections --live conn.txt {NAMED}"))
        .exits(0);
    assert_eq!(
        column(&ran.out, "SERVICE"),
        [
            "default/web:http",
            "default/web:http",
            "voice/phone:sip",
            "-"
        ]
    );
}

#[test]
fn connections_are_selected() {
    let folder = folder();
    for (select, count) in [
        ("", 4),
        ("--service default/web", 2),
        ("--client 192.0.2.1", 1),
        ("--client 192.0.2.2/31", 2),
        ("--server 10.244.1.5", 1),
        ("--server 10.244.1.5:8080", 1),
        ("--server 10.244.1.5:80", 0),
        ("--vip 10.96.0.10 --client 192.0.2.2", 1),
        ("--protocol udp", 1),
    ] {
        let ran = folder.run(&format!(
            "get connections --live conn.txt -o json {NAMED} {select}"
        ));
        let found = ran.exits(0).json()["connections"].clone();
        assert_eq!(found.as_array().map(Vec::len), Some(count), "{select}");
    }
}

#[test]
fn a_summary_counts_connections() {
    let ran = folder()
        .run(&format!(
            "get connections --live conn.txt --summary -o json {NAMED}"
        ))
        .exits(0);
    let summary = ran.json();
    assert_eq!(summary["connections"], 4);
    assert_eq!(summary["realServers"][0]["states"]["ESTABLISHED"], 1);
    let text = folder()
        .run("get connections --live conn.txt --summary")
        .exits(0)
        .out;
    assert!(
        text.ends_with("connections: 4, templates: 0, real servers: 4\n"),
        "{text}"
    );
}

#[test]
fn invalid_connections_name_the_line() {
    let ran = folder().run("get connections --live live.txt").exits(2);
    assert!(ran.err.starts_with("error: line 1 "), "{}", ran.err);
    let ran = folder().run("get connections --live none.txt").exits(2);
    assert!(ran.err.contains("none.txt"), "{}", ran.err);
}

#[test]
fn options_without_effect_are_errors() {
    for args in [
        "get addresses --stats",
        "get servers --summary",
        "get connections --rate",
        "get tables -n shop",
        "get timeouts --client 192.0.2.1",
    ] {
        let ran = folder().run(args).exits(2);
        assert!(ran.err.contains("is only for get "), "{args}: {}", ran.err);
    }
}

#[test]
fn a_reader_that_wants_no_more_is_no_error() {
    let many: String = (0..20_000)
        .map(|number| format!("-A -t 10.{}.{}.1:80 -s rr\n", number / 250, number % 250))
        .collect();
    let folder = Folder::new().with("live.txt", &many);
    for format in ["table", "text", "json", "yaml"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ipvsctl"))
            .args(["get", "servers", "--live", "live.txt", "-o", format])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ipvsctl starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        drop(out);
        let ended = child.wait_with_output().expect("ipvsctl ends");
        assert_eq!(ended.status.code(), Some(0), "{format}: {ended:?}");
        assert_eq!(ended.stderr, b"", "{format}");
    }
}

#[test]
fn top_needs_a_terminal() {
    let ran = folder().run("top").exits(2);
    assert!(ran.err.contains("--once"), "{}", ran.err);
    let ran = folder().run("top -o json").exits(2);
    assert!(ran.err.contains("--once"), "{}", ran.err);
}
