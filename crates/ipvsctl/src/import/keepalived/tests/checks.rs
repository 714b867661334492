//! Health checks.

use super::{read, server};
use crate::import::tests::notes;

/// Checks the imported health check and the notes of a virtual server with these lines.
#[track_caller]
fn check(settings: &str, expected: Option<&str>, expected_notes: &[&str]) {
    let found = read(&server(settings));
    assert_eq!(found.servers.len(), 1);
    assert_eq!(found.servers[0].health_check.as_deref(), expected);
    assert_eq!(notes(&found), expected_notes);
}

#[test]
fn defaults_are_those_of_keepalived() {
    check(
        "real_server 10.0.0.1 80 {\nTCP_CHECK {\n}\n}",
        Some(
            "type=tcp, interval=1m0s, timeout=5s, rise=1, fall=2, onFailure=remove, panicThreshold=100",
        ),
        &[],
    );
    check(
        "real_server 10.0.0.1 80 {\nHTTP_GET {\nurl {\npath /\n}\n}\n}",
        Some(
            "type=http, path=/, status=200-299, interval=1m0s, timeout=5s, rise=1, fall=2, onFailure=remove, \
             panicThreshold=100",
        ),
        &[],
    );
    check("real_server 10.0.0.1 80 {\n}", None, &[]);
}

#[test]
fn settings_of_inner_blocks_come_first() {
    check(
        "delay_loop 2\nretry 9\nconnect_timeout 1\nvirtualhost a.example\nreal_server 10.0.0.1 80 {\nretry 8\n\
         inhibit_on_failure\nHTTP_GET {\nurl {\npath /healthz\nstatus_code 204\nvirtualhost b.example\n}\nretry 3\n\
         connect_port 8081\nconnect_ip 10.0.0.1\n}\n}",
        Some(
            "type=http, host=b.example, path=/healthz, status=204-204, interval=2s, timeout=1s, rise=1, fall=4, \
             port=8081, onFailure=quiesce, panicThreshold=100",
        ),
        &[],
    );
    // The timeout is at most the interval.
    check(
        "delay_loop 0.5\nreal_server 10.0.0.1 80 { TCP_CHECK { nb_get_retry 0 } }",
        Some(
            "type=tcp, interval=500ms, timeout=500ms, rise=1, fall=1, onFailure=remove, panicThreshold=100",
        ),
        &[],
    );
}

#[test]
fn a_check_of_another_protocol_probes_the_port_of_the_server() {
    let text = "virtual_server 192.0.2.1 53 {\nprotocol UDP\nlvs_method NAT\nreal_server 10.0.0.1 53 { TCP_CHECK { } }\n}";
    let check = read(text).servers[0].health_check.clone();
    assert!(check.is_some_and(|check| check.contains("port=53")));
    let text = text
        .replace("192.0.2.1 53", "fwmark 7")
        .replace("10.0.0.1 53", "10.0.0.1");
    let found = read(&text);
    assert_eq!(found.servers[0].health_check, None);
    assert_eq!(
        notes(&found),
        ["f:4: TCP_CHECK is not imported: the real server has no port: set connect_port"]
    );
}

#[test]
fn checks_without_equivalent_are_noted() {
    let real = |check: &str| format!("real_server 10.0.0.1 80 {{\n{check}\n}}");
    for (block, note) in [
        (
            "SMTP_CHECK {\n}",
            "f:5: SMTP_CHECK is not imported: kube-ipvs has no such health check",
        ),
        (
            "TCP_CHECK {\nconnect_ip 10.0.0.9\n}",
            "f:5: TCP_CHECK is not imported: connect_ip is not the address of the real server",
        ),
        (
            "HTTP_GET {\n}",
            "f:5: HTTP_GET is not imported: it has no url",
        ),
        (
            "HTTP_GET {\nurl {\npath /\nstatus_code 200 404\n}\n}",
            "f:5: HTTP_GET is not imported: status_code needs one number or range",
        ),
        (
            "TCP_CHECK {\n}\nTCP_CHECK {\n}",
            "f:7: TCP_CHECK is not imported: a VirtualServer has one check; none is imported",
        ),
    ] {
        check(&real(block), None, &[note]);
    }
    check(
        &real("TCP_CHECK {\ndelay_before_retry 3\nretry 20\nbindto 10.0.0.9\n}"),
        Some(
            "type=tcp, interval=1m0s, timeout=5s, rise=1, fall=10, onFailure=remove, panicThreshold=100",
        ),
        &[
            "f:6: delay_before_retry is not imported: a failed probe is repeated after the interval of the check",
            "f:8: bindto has no equivalent and is not imported",
            "f:5: retry is reduced to 9",
        ],
    );
    check(
        "delay_loop 7200\nreal_server 10.0.0.1 80 { TCP_CHECK { } }",
        None,
        &["f:5: TCP_CHECK is not imported: interval: `2h0m0s` is no duration from 100ms to 1h0m0s"],
    );
}

#[test]
fn different_checks_are_not_imported() {
    check(
        "real_server 10.0.0.1 80 { TCP_CHECK { } }\nreal_server 10.0.0.2 80 { TCP_CHECK { retry 5 } }",
        None,
        &[
            "f:1: no health check is imported: a VirtualServer has one check for all real servers, and 10.0.0.2:80 has \
             another one",
        ],
    );
    check(
        "real_server 10.0.0.1 80 { TCP_CHECK { } }\nreal_server 10.0.0.2 80",
        None,
        &[
            "f:1: no health check is imported: a VirtualServer has one check for all real servers, and 10.0.0.2:80 has \
             none",
        ],
    );
}

#[test]
fn a_mistake_keeps_the_real_server() {
    let found = read(&server(
        "real_server 10.0.0.1 80 {\ndelay_loop soon\nTCP_CHECK {\n}\n}",
    ));
    assert_eq!(found.servers[0].real_servers.len(), 1);
    assert_eq!(
        notes(&found),
        ["f:5: delay_loop: `soon` is no number of seconds; the setting is ignored"]
    );
}
