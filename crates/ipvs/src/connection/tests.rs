use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(line: &str, shown: &str) {
    let connection = parse_connection(line).expect("a connection");
    let Connection {
        protocol,
        client,
        destination,
        real,
        state,
        expires,
        engine,
    } = connection;
    let engine = engine.unwrap_or_default();
    let seconds = expires.as_secs();
    let text = format!("{protocol} {client} {destination} {real} {state} {seconds} {engine}");
    assert_eq!(text.trim_end(), shown);
}

#[test]
fn a_connection_over_ipv4() {
    check(
        "TCP C0000201 D431 0A60000A 0050 0A010203 1F90 ESTABLISHED     899",
        "TCP 192.0.2.1:54321 10.96.0.10:80 10.1.2.3:8080 ESTABLISHED 899",
    );
}

#[test]
fn a_connection_over_ipv6() {
    check(
        "UDP fd00:0000:0000:0000:0000:0000:0000:0001 D431 fd00:0010:0000:0000:0000:0000:0000:000a 0035 \
         fd00:0002:0000:0000:0000:0000:0000:0003 0035 UDP             299",
        "UDP [fd00::1]:54321 [fd00:10::a]:53 [fd00:2::3]:53 UDP 299",
    );
    check(
        "TCP [fd00::1] 0001 [fd00::2] 0002 [fd00::3] 0003 SYN_RECV 1",
        "TCP [fd00::1]:1 [fd00::2]:2 [fd00::3]:3 SYN_RECV 1",
    );
}

#[test]
fn a_tunnel_to_a_real_server_of_the_other_family() {
    check(
        "SCTP C0000201 D431 0A60000A 0050 fd00:0002:0000:0000:0000:0000:0000:0003 1F90 ESTABLISHED     899",
        "SCTP 192.0.2.1:54321 10.96.0.10:80 [fd00:2::3]:8080 ESTABLISHED 899",
    );
}

#[test]
fn a_persistence_template() {
    let line = "TCP C0000200 0000 0A60000A 0050 0A010203 1F90 ASSURED       10799";
    check(
        line,
        "TCP 192.0.2.0:0 10.96.0.10:80 10.1.2.3:8080 ASSURED 10799",
    );
    assert!(parse_connection(line).expect("a template").is_template());
}

#[test]
fn a_persistence_engine() {
    check(
        "UDP C0000201 13C4 0A60000A 13C4 0A010203 13C4 UDP             299 sip call@example",
        "UDP 192.0.2.1:5060 10.96.0.10:5060 10.1.2.3:5060 UDP 299 sip",
    );
}

#[test]
fn protocols_without_ports() {
    check(
        "IP C0000201 0000 00000007 0000 0A010203 0000 NONE             59",
        "protocol 0 192.0.2.1:0 0.0.0.7:0 10.1.2.3:0 NONE 59",
    );
    check(
        "IP_50 C0000201 0000 0A60000A 0000 0A010203 0000 NONE             59",
        "protocol 50 192.0.2.1:0 10.96.0.10:0 10.1.2.3:0 NONE 59",
    );
}

#[test]
fn an_invalid_line_names_the_field() {
    for (line, field) in [
        ("", "the protocol"),
        ("XYZ", "the protocol"),
        ("IP_256", "the protocol"),
        ("TCP C0000201", "the client"),
        ("TCP +0000201 0001", "the client"),
        ("TCP C0000201 10000", "the client"),
        ("TCP C0000201 0001 C000 0001", "the destination"),
        (
            "TCP C0000201 0001 C0000201 0001 1.2.3.4 0001 NONE 1",
            "the real server",
        ),
        ("TCP C0000201 0001 C0000201 0001 C0000201 0001", "the state"),
        (
            "TCP C0000201 0001 C0000201 0001 C0000201 0001 NONE",
            "the expiry",
        ),
        (
            "TCP C0000201 0001 C0000201 0001 C0000201 0001 NONE -1",
            "the expiry",
        ),
    ] {
        let error = parse_connection(line).expect_err(line);
        assert_eq!(error.field, field, "{line}");
    }
    assert!(is_header(
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData"
    ));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(line in ".{0,200}") {
        let _ = parse_connection(&line);
    }
}
