use ipvs::text::{Line, parse_line};
use ipvs::{Connections, Protocol};
use model::ObjectName;

use super::*;

fn entry(lines: &[&str], count: u64) -> ServerEntry {
    let statistics = Statistics {
        connections: count,
        bytes_out: 1000 * count,
        connection_rate: count / 10,
        ..Statistics::default()
    };
    let mut entry = None;
    for line in lines {
        match parse_line(line).expect("a line") {
            Line::VirtualServer(server) => {
                entry = Some(ServerEntry {
                    server,
                    statistics,
                    real_servers: Vec::new(),
                });
            }
            Line::RealServer(_, server) => {
                let entry = entry.as_mut().expect("a virtual server");
                entry.real_servers.push(RealServerStatus {
                    server,
                    connections: Connections {
                        active: 7,
                        inactive: 8,
                        persistent: 9,
                    },
                    statistics,
                });
            }
        }
    }
    entry.expect("a virtual server")
}

fn owner() -> ServicePortName {
    ServicePortName {
        service: ObjectName::new("shop", "web"),
        port: "http".into(),
        protocol: Protocol::Tcp,
    }
}

fn print(format: Format, shown: Shown) -> String {
    let mut out = Vec::new();
    let mut lines = Lines::new(&mut out);
    let mut printer = Printer::begin(&mut lines, format, shown).expect("a printer");
    let web = entry(
        &[
            "-A -t 10.96.0.10:80 -s rr -p 600",
            "-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1 -x 9 -y 3",
            "-a -t 10.96.0.10:80 -r 10.1.2.4:8080 -m -w 0",
        ],
        40,
    );
    printer.entry(&web, Some(&owner())).expect("an entry");
    let mark = entry(&["-A -f 7 -s wlc"], 0);
    printer.entry(&mark, None).expect("an entry");
    printer.end("Nothing.").expect("an end");
    drop(lines);
    String::from_utf8(out).expect("text")
}

const COUNTS: Shown = Shown {
    wide: false,
    counts: true,
    stats: false,
    rate: false,
};

#[test]
fn a_table_names_services_and_counts_connections() {
    let expected = "\
VIRTUAL SERVER     SERVICE        SCHEDULER  REAL SERVER    FORWARDING  WEIGHT  ACTIVE  INACTIVE
10.96.0.10:80/TCP  shop/web:http  rr         10.1.2.3:8080  Masq             1       7         8
                                             10.1.2.4:8080  Masq             0       7         8
fwmark 7 (IPv4)    -              wlc        (none)
";
    assert_eq!(print(Format::Table, COUNTS), expected);
}

#[test]
fn counters_have_a_line_for_the_virtual_server() {
    let shown = Shown {
        stats: true,
        rate: true,
        ..COUNTS
    };
    let table = print(Format::Table, shown);
    let cells: Vec<Vec<&str>> = (table.lines())
        .map(|line| line.split_ascii_whitespace().collect())
        .collect();
    assert_eq!(
        cells[1],
        [
            "10.96.0.10:80/TCP",
            "shop/web:http",
            "rr",
            "40",
            "0",
            "0",
            "0",
            "40000",
            "4",
            "0",
            "0",
            "0",
            "0"
        ]
    );
    assert_eq!(
        cells[2],
        [
            "10.1.2.3:8080",
            "Masq",
            "1",
            "7",
            "8",
            "40",
            "0",
            "0",
            "0",
            "40000",
            "4",
            "0",
            "0",
            "0",
            "0"
        ]
    );
    let ends: Vec<usize> = table.lines().map(str::len).collect();
    assert_eq!(ends, [ends[0]; 5], "{table}");
}

#[test]
fn a_wide_table_has_all_settings() {
    let table = print(Format::Wide, COUNTS);
    let line = table.lines().nth(1).expect("a line");
    for cell in ["persistent", "600 s /32", "3..9", "9"] {
        assert!(line.contains(cell), "{line}");
    }
}

#[test]
fn text_is_that_of_ipvsadm() {
    let expected = "\
-A -t 10.96.0.10:80 -s rr -p 600
-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1 -x 9 -y 3
-a -t 10.96.0.10:80 -r 10.1.2.4:8080 -m -w 0
-A -f 7 -s wlc
";
    assert_eq!(print(Format::Text, COUNTS), expected);
}

#[test]
fn json_has_counters_if_they_are_requested() {
    let json = |shown| -> serde_json::Value {
        serde_json::from_str(&print(Format::Json, shown)).expect("JSON")
    };
    let plain = json(COUNTS);
    let server = &plain["virtualServers"][0];
    assert_eq!(server["service"]["name"], "web");
    assert_eq!(server["realServers"][0]["connections"]["active"], 7);
    assert!(server.get("statistics").is_none());
    let with = json(Shown {
        stats: true,
        ..COUNTS
    });
    let server = &with["virtualServers"][0];
    assert_eq!(server["statistics"]["connections"], 40);
    assert_eq!(server["realServers"][1]["statistics"]["bytesOut"], 40_000);
    // The printed tables can be read by --live.
    schema::parse(&print(Format::Json, COUNTS)).expect("saved tables");
    schema::parse(&print(
        Format::Yaml,
        Shown {
            stats: true,
            ..COUNTS
        },
    ))
    .expect("saved tables");
}

#[test]
fn an_empty_table_says_so() {
    let mut out = Vec::new();
    let mut lines = Lines::new(&mut out);
    let printer = Printer::begin(&mut lines, Format::Table, COUNTS).expect("a printer");
    printer.end("Nothing.").expect("an end");
    drop(lines);
    assert_eq!(out, b"Nothing.\n");
}
