//! Fields of kube-proxy's that are the same as something of ours, or of the kernel.

use model::config::ExternalIpPolicy;

use super::*;

#[test]
fn timeouts_are_whole_seconds_that_every_kernel_takes() {
    let max = "is set to 596h31m23s: a kernel may take no more, and refuse all timeouts at once";
    for (text, seconds, warning) in [
        ("2h", 7_200, None),
        ("0s", 0, None),
        (
            "500ms",
            0,
            Some("leaves the kernel's setting: 500ms is below a second, its unit"),
        ),
        (
            "1.5s",
            1,
            Some("is set to 1s: the kernel counts whole seconds"),
        ),
        ("596h31m23s", 2_147_483, None),
        ("596h31m24s", 2_147_483, Some(max)),
        ("8760h", 2_147_483, Some(max)),
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
            let mut fields = Map::new();
            put(&mut fields, path, Value::from(text));
            let resolved = resolve(&Value::Object(fields).to_string()).expect(text);
            let held = format_duration(Duration::from_secs(seconds));
            check_values(&resolved, &[&format!("{path} {held} (file c.yaml)")]);
            let warning = warning.map(|warning| format!("{path}: {warning}"));
            check_lines(
                &resolved.warnings,
                &warning.as_deref().map_or(vec![], |line| vec![line]),
            );
        }
    }
}

#[test]
fn the_gate_of_external_ips() {
    let denied = "featureGates: {AllowServiceExternalIPs: false}\n";
    let check = |text: &str, expected: ExternalIpPolicy, origin: &str| {
        let resolved = resolve(text).expect(text);
        assert_eq!(resolved.node.external_ips, expected, "{text}");
        let values = resolved.values();
        let shown = values.iter().find(|value| value.path == "externalIPPolicy");
        assert_eq!(shown.expect("a value").origin.to_string(), origin, "{text}");
        check_lines(&resolved.warnings, &[]);
    };
    check(denied, ExternalIpPolicy::Deny, "file c.yaml");
    check(&ours(denied), ExternalIpPolicy::Deny, "file c.yaml");
    check(
        "featureGates: {AllowServiceExternalIPs: true}",
        ExternalIpPolicy::Allow,
        "default",
    );
    check(
        &ours(&format!("{denied}externalIPPolicy: Allow")),
        ExternalIpPolicy::Allow,
        "file c.yaml",
    );
    check_warnings(
        "featureGates: {AllowServiceExternalIPs: false, Other: true}",
        &["featureGates: has no effect"],
    );
    let flags =
        ConfigFlags::default().with("feature-gates", "A=false,AllowServiceExternalIPs=false");
    let resolved = by_flags(flags).expect("a configuration");
    assert_eq!(resolved.node.external_ips, ExternalIpPolicy::Deny);
    check_values(&resolved, &["externalIPPolicy Deny (flag --feature-gates)"]);
}

#[test]
fn logging() {
    let check = |text: &str, format, verbosity| {
        let resolved = resolve(text).expect(text);
        let settings = &resolved.settings;
        assert_eq!(
            (settings.log_format, settings.log_verbosity),
            (format, verbosity),
            "{text}"
        );
        check_lines(&resolved.warnings, &[]);
    };
    check("logging: null", LogFormat::Text, 0);
    check("logging: {format: json, verbosity: 4}", LogFormat::Json, 4);
    check(
        "logging: {flushFrequency: 5s, options: {json: {infoBufferSize: '0'}}, vmodule: null}",
        LogFormat::Text,
        0,
    );
    check_warnings(
        "logging: {flushFrequency: 1s, options: {text: {splitStream: true}}}",
        &[
            "logging.flushFrequency: has no effect",
            "logging.options: has no effect",
        ],
    );
}
