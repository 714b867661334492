//! Durations and timeouts.

use model::config::TcpTimeout;

use super::super::show::put;
use super::*;

#[test]
fn the_tcp_timeout_may_match_the_keepalive() {
    let text = "ipvs: {tcpTimeout: matchKeepalive}";
    check_ours(text, &["ipvs.tcpTimeout = matchKeepalive (file c.yaml)"]);
    let matching = resolved(&ours(text));
    assert_eq!(
        matching.node.kernel_settings.timeouts.tcp,
        TcpTimeout::MatchKeepalive
    );
    for (wrong, what) in [
        (
            "ipvs: {tcpTimeout: matchkeepalive}",
            "\"matchkeepalive\" is neither matchKeepalive nor a duration such as 30s, zero or above",
        ),
        (
            "ipvs: {tcpTimeout: true}",
            "must be matchKeepalive or a duration such as 30s, not true",
        ),
    ] {
        check(wrong, &[&format!("error: ipvs.tcpTimeout: {what}")]);
    }
    // The other timeouts have nothing to match.
    check(
        "ipvs: {udpTimeout: matchKeepalive}",
        &[
            "error: ipvs.udpTimeout: \"matchKeepalive\" is no duration such as 30s or 1m0s, zero or above",
        ],
    );
}

#[test]
fn timeouts_are_whole_seconds_that_every_kernel_takes() {
    let max = "is set to 596h31m23s: a kernel may take no more, and refuse all timeouts at once";
    for (text, held, warning) in [
        ("2h", "2h0m0s", ""),
        ("0s", "0s", ""),
        (
            "500ms",
            "0s",
            "leaves the kernel's setting: 500ms is below a second, its unit",
        ),
        (
            "1.5s",
            "1s",
            "is set to 1s: the kernel counts whole seconds",
        ),
        ("596h31m23s", "596h31m23s", ""),
        ("596h31m24s", "596h31m23s", max),
        ("8760h", "596h31m23s", max),
    ] {
        for path in [
            "ipvs.tcpTimeout",
            "ipvs.tcpFinTimeout",
            "ipvs.udpTimeout",
            "conntrack.tcpEstablishedTimeout",
            "conntrack.tcpCloseWaitTimeout",
            "conntrack.udpTimeout",
            "conntrack.udpStreamTimeout",
        ] {
            let mut fields = Value::Null;
            put(&mut fields, path, text.into());
            let warning = (!warning.is_empty()).then(|| format!("warning: {path}: {warning}"));
            let value = format!("{path} = {held} (file c.yaml)");
            let expected: Vec<_> = warning.as_deref().into_iter().chain([&*value]).collect();
            check(&fields.to_string(), &expected);
        }
    }
}

#[test]
fn durations() {
    for (text, written) in [
        ("30s", "30s"),
        ("1m0s", "1m0s"),
        ("24h0m0s", "24h0m0s"),
        ("1h0m5s", "1h0m5s"),
        ("1.5h", "1h30m0s"),
        ("1m0.25s", "1m0.25s"),
        ("100ms", "100ms"),
        ("1.5µs", "1.5µs"),
        ("7ns", "7ns"),
        ("0", "0s"),
        ("0s", "0s"),
    ] {
        let duration = parse_duration(text);
        assert_eq!(duration.map(format_duration).as_deref(), Some(written));
    }
    for wrong in ["", "30", "s", "-1s", "1 s", "1d", "1..5s", "99999999h"] {
        assert_eq!(parse_duration(wrong), None, "{wrong}");
    }
}
