//! The table, the types behind it and the page say the same.

use std::path::Path;

use serde_json::json;

use super::super::table::{Effect, FIELDS, Kind};
use super::*;

#[test]
fn docs_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
    let page = reference::markdown();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, page).expect("the page is written");
        return;
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "{} is out of date: run BLESS=1 cargo test -p sources docs_are_current",
        path.display()
    );
}

#[test]
fn every_field_that_acts_is_shown_and_no_other() {
    let resolved = resolve("").expect("a configuration");
    let shown: Vec<_> = resolved.values().iter().map(|value| value.path).collect();
    let acting: Vec<_> = (FIELDS.iter())
        .filter(|field| field.effect != Effect::Nothing)
        .map(|field| field.path)
        .collect();
    assert_eq!(shown, acting);
}

#[test]
fn the_table_tells_the_defaults_that_hold() {
    let resolved = resolve("").expect("a configuration");
    for value in resolved.values() {
        let field = table::field(value.path).expect("a field of the table");
        if value.path != HOSTNAME_OVERRIDE {
            assert_eq!(value.text(), field.default, "{}", value.path);
            assert_eq!(value.origin, Origin::Default, "{}", value.path);
        }
    }
}

#[test]
fn paths_and_flags_are_unique() {
    let mut paths: Vec<_> = FIELDS.iter().map(|field| field.path).collect();
    let mut flags: Vec<_> = FIELDS.iter().filter_map(|field| field.flag).collect();
    flags.extend(table::EXTRA_FLAGS.iter().map(|extra| extra.flag));
    for names in [&mut paths, &mut flags] {
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

/// A value that differs from every default, and what makes it right.
fn other_value(path: &str, kind: Kind) -> Value {
    match (path, kind) {
        ("mode", _) => json!("ipvs"),
        ("detectLocalMode", _) => json!("NodeCIDR"),
        ("ipvs.syncPeriod", _) => json!("1m17s"),
        ("clusterCIDR", _) => json!("10.5.0.0/16,fd05::/48"),
        (_, Kind::Choice(words)) => json!(words.last()),
        (_, Kind::Words(words)) => json!([words[0]]),
        (_, Kind::Bool) => json!(true),
        (_, Kind::Ports) => json!([17]),
        (_, Kind::Whole(..)) => json!(17),
        (_, Kind::Number) => json!(17),
        (_, Kind::Duration | Kind::KernelSeconds) => json!("17s"),
        (_, Kind::Address) => json!("10.0.0.17"),
        (_, Kind::AddressPort(_)) => json!("10.0.0.17:17"),
        (_, Kind::Networks | Kind::NodePorts) => json!(["10.17.0.0/16"]),
        _ => json!("wlc"),
    }
}

/// Returns the other fields that a value needs to have its meaning.
fn needed_settings(path: &str) -> &'static [(&'static str, &'static str)] {
    match path {
        "ipvs.schedulerFlags" => &[("ipvs.scheduler", "sh")],
        "detectLocal.bridgeInterface" => &[("detectLocalMode", "BridgeInterface")],
        "detectLocal.interfaceNamePrefix" => &[("detectLocalMode", "InterfaceNamePrefix")],
        "allowedExternalCIDRs" => &[("externalIPPolicy", "AllowList")],
        _ => &[],
    }
}

#[test]
fn every_field_of_a_file_arrives() {
    for field in FIELDS
        .iter()
        .filter(|field| field.effect != Effect::Nothing)
    {
        let value = other_value(field.path, field.kind);
        let mut fields = Map::new();
        put(&mut fields, "apiVersion", json!("kube-ipvs.io/v1alpha1"));
        put(&mut fields, "kind", json!("KubeIpvsConfiguration"));
        put(&mut fields, field.path, value.clone());
        for (path, value) in needed_settings(field.path) {
            put(&mut fields, path, json!(value));
        }
        let resolved = resolve(&Value::Object(fields).to_string()).expect(field.path);
        let shown = (resolved.values().into_iter()).find(|shown| shown.path == field.path);
        let shown = shown.expect("the field is shown");
        assert_eq!(shown.value, value, "{}", field.path);
        let origin = Origin::File("c.yaml".to_owned());
        assert_eq!(shown.origin, origin, "{}", field.path);
        if field.effect == Effect::Later {
            let warning = format!("{}: has no effect yet", field.path);
            check_lines(&resolved.warnings, &[&warning]);
        }
    }
}

#[test]
fn every_field_is_checked() {
    for field in FIELDS.iter().filter(|field| field.kind != Kind::Any) {
        let mut fields = Map::new();
        put(&mut fields, "apiVersion", json!("kube-ipvs.io/v1alpha1"));
        put(&mut fields, field.path, json!([[]]));
        let errors = resolve(&Value::Object(fields).to_string()).expect_err(field.path);
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.0[0].path.starts_with(field.path), "{errors}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for text in [
        ours(""),
        ours(
            "hostnameOverride: n\nbindAddress: 10.0.0.1\nipvs: {scheduler: sh, schedulerFlags: [sh-port], \
             excludeCIDRs: [10.0.0.0/8]}\nexternalIPPolicy: AllowList\nallowedExternalCIDRs: [fd00::/8]\n\
             detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}\ndrainTimeout: 0s\n\
             nodePortAddresses: [primary]\nhealthzBindAddress: '0'\nconntrack: {maxPerCore: 0}\n",
        ),
        ours("bindAddress: 'fd00::1'\nipvs: {scheduler: mh}\niptables: {masqueradeBit: 15}"),
        ours("ipvs: {scheduler: mh, schedulerFlags: []}"),
    ] {
        let first = resolve(&text).expect("a configuration");
        let again = resolve(&first.document().to_string()).expect("a configuration");
        assert_eq!(
            (&first.node, &first.settings),
            (&again.node, &again.settings)
        );
        assert_eq!(first.document(), again.document());
        let configz = first.configz();
        assert_eq!(configz["kube-ipvs.io"], first.document());
        let of_kube_proxy = configz["kubeproxy.config.k8s.io"].to_string();
        let again = resolve(&of_kube_proxy).expect("a configuration of kube-proxy");
        check_lines(&again.warnings, &[]);
        assert_eq!(again.node.scheduler, first.node.scheduler);
        assert_eq!(again.node.detect_local, first.node.detect_local);
        assert_eq!(again.node.kernel_settings, first.node.kernel_settings);
    }
}
