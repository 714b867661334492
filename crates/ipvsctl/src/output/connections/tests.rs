use ipvs::connection::parse_connection;
use model::ObjectName;

use super::*;

const TABLE: [&str; 5] = [
    "TCP C0000201 D431 0A60000A 0050 0A010203 1F90 ESTABLISHED     899",
    "TCP C0000202 D432 0A60000A 0050 0A010203 1F90 TIME_WAIT        59",
    "TCP C0000203 D433 0A60000A 0050 0A010203 1F90 ESTABLISHED     899",
    "TCP C0000200 0000 0A60000A 0050 0A010203 1F90 ASSURED       10799",
    "UDP fd00::1 D431 fd00:10::a 0035 fd00:2::3 0035 UDP             299 sip call",
];

fn owner() -> ServicePortName {
    ServicePortName {
        service: ObjectName::new("shop", "web"),
        port: "".into(),
        protocol: Protocol::Tcp,
    }
}

fn connections() -> Vec<Connection> {
    (TABLE.iter())
        .map(|line| parse_connection(line).expect("a line"))
        .collect()
}

fn print(format: Format) -> String {
    let mut out = Vec::new();
    let mut lines = Lines::new(&mut out);
    let mut printer = Printer::begin(&mut lines, format).expect("a printer");
    let owner = owner();
    for connection in connections() {
        let owner = Some(&owner).filter(|owner| owner.protocol == connection.protocol);
        printer
            .connection(&connection, owner)
            .expect("a connection");
    }
    printer.end().expect("an end");
    drop(lines);
    String::from_utf8(out).expect("text")
}

#[test]
fn a_table_names_services() {
    let expected = "\
PROTOCOL  CLIENT           VIRTUAL SERVER   SERVICE   REAL SERVER     STATE        EXPIRES
TCP       192.0.2.1:54321  10.96.0.10:80    shop/web  10.1.2.3:8080   ESTABLISHED    14:59
TCP       192.0.2.2:54322  10.96.0.10:80    shop/web  10.1.2.3:8080   TIME_WAIT      00:59
TCP       192.0.2.3:54323  10.96.0.10:80    shop/web  10.1.2.3:8080   ESTABLISHED    14:59
TCP       192.0.2.0:0      10.96.0.10:80    shop/web  10.1.2.3:8080   ASSURED       179:59
UDP       [fd00::1]:54321  [fd00:10::a]:53  -         [fd00:2::3]:53  UDP            04:59
";
    assert_eq!(print(Format::Table), expected);
    let wide = print(Format::Wide);
    assert!(
        wide.contains("ASSURED       179:59  template    -\n"),
        "{wide}"
    );
    assert!(
        wide.contains("UDP            04:59  connection  sip\n"),
        "{wide}"
    );
}

#[test]
fn text_is_that_of_ipvsadm() {
    let text = print(Format::Text);
    assert_eq!(
        text.lines().next(),
        Some("TCP 14:59  ESTABLISHED 192.0.2.1:54321    10.96.0.10:80      10.1.2.3:8080")
    );
}

#[test]
fn json_marks_templates() {
    let json: serde_json::Value = serde_json::from_str(&print(Format::Json)).expect("JSON");
    let found = &json["connections"];
    assert_eq!(found[0]["template"], false);
    assert_eq!(found[3]["template"], true);
    assert_eq!(found[4]["engine"], "sip");
    assert_eq!(found[4]["client"]["address"], "fd00::1");
    assert_eq!(found[0]["expiresSeconds"], 899);
}

#[test]
fn a_summary_counts_states_by_real_server() {
    let mut counts = Counts::default();
    connections()
        .iter()
        .for_each(|connection| counts.add(connection));
    let owner = owner();
    let counted = counts.summary(|key| {
        Some(&owner).filter(|_| matches!(key, VirtualServerKey::Address { port: 80, .. }))
    });
    assert_eq!((counted.connections, counted.templates), (4, 1));
    let mut out = Vec::new();
    summary(&counted, &mut Lines::new(&mut out)).expect("a summary");
    let expected = "\
SERVICE   VIRTUAL SERVER       REAL SERVER     CONNECTIONS  TEMPLATES  STATES
shop/web  10.96.0.10:80/TCP    10.1.2.3:8080             3          1  ESTABLISHED 2, TIME_WAIT 1
-         [fd00:10::a]:53/UDP  [fd00:2::3]:53            1          0  UDP 1
connections: 4, templates: 1, real servers: 2
";
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}
