//! The table of fields, the page and the values in the program agree.

use std::path::Path;

use serde_json::json;

use super::super::show::put;
use super::super::table::{Effect, FIELDS, Field};
use super::*;

#[test]
fn docs_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let pages = [
        ("config.md", reference::markdown()),
        ("policy.md", reference::policy::markdown()),
    ];
    for (name, page) in pages {
        let path = folder.join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, page).expect("the page is written");
            continue;
        }
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == page,
            "{} is out of date: run BLESS=1 cargo test -p sources docs_are_current",
            path.display()
        );
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

/// Returns a value that differs from the default.
fn other_value(field: &Field) -> Value {
    let form = field.place.form();
    match (field.path, form.value_name) {
        ("mode", _) => json!("ipvs"),
        ("detectLocalMode", _) => json!("NodeCIDR"),
        ("ipvs.syncPeriod", _) => json!("1m17s"),
        ("servicePolicies", _) => json!([{"name": "all", "policy": {"scheduler": "wrr"}}]),
        ("healthChecks.authorities", _) => json!({"shop": "/etc/shop.pem"}),
        ("allowedAnnotations", _) => json!(["weights"]),
        ("clusterCIDR", _) => json!("10.5.0.0/16,fd05::/48"),
        ("ipvs.sync.group", _) => json!("239.1.2.3"),
        ("ipvs.sync.maxLength", _) => json!(1400),
        (_, "WORD") => json!(form.text.rsplit('`').nth(1)),
        (_, "WORD,…") => json!([form.text.split('`').nth(1)]),
        (_, "BOOL") => json!(true),
        (_, "PORT,…") => json!([17]),
        (_, "NUMBER") => json!(field.default().parse::<i64>().expect("a number") + 1),
        (_, "DURATION") => json!("17s"),
        (_, "ADDRESS") => json!("10.0.0.17"),
        (_, "ADDRESS:PORT") => json!("10.0.0.17:17"),
        (_, "CIDR,…") => json!(["10.17.0.0/16"]),
        _ => json!("wlc"),
    }
}

/// Returns the other fields that a value needs to have its meaning.
fn needed_settings(path: &str) -> &'static [(&'static str, &'static str)] {
    match path {
        "ipvs.sync.role" => &[("ipvs.sync.interface", "eth0")],
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
        let value = other_value(field);
        let mut fields = Value::Null;
        put(&mut fields, "apiVersion", json!("kube-ipvs.io/v1alpha1"));
        put(&mut fields, "kind", json!("KubeIpvsConfiguration"));
        put(&mut fields, field.path, value.clone());
        for (path, value) in needed_settings(field.path) {
            put(&mut fields, path, json!(value));
        }
        let shown = format!("{} = {} (file c.yaml)", field.path, show::text(&value));
        let warning = format!("warning: {}: has no effect yet", field.path);
        match field.effect {
            Effect::Later => check(&fields.to_string(), &[&warning, &shown]),
            _ => check(&fields.to_string(), &[&shown]),
        }
    }
}

#[test]
fn every_field_is_checked() {
    for field in FIELDS
        .iter()
        .filter(|field| field.place.form().text != "any")
    {
        let mut fields = Value::Null;
        put(&mut fields, "apiVersion", json!("kube-ipvs.io/v1alpha1"));
        put(&mut fields, field.path, json!([[]]));
        let errors = resolve(&fields.to_string()).expect_err(field.path);
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.0[0].path.starts_with(field.path), "{errors}");
    }
}

#[test]
fn a_written_configuration_reads_back() {
    for fields in [
        "",
        "hostnameOverride: n\nbindAddress: 10.0.0.1\nipvs: {scheduler: sh, schedulerFlags: [sh-port], \
         excludeCIDRs: [10.0.0.0/8]}\nexternalIPPolicy: AllowList\nallowedExternalCIDRs: [fd00::/8]\n\
         detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}\ndrainTimeout: 0s\n\
         nodePortAddresses: [primary]\nhealthzBindAddress: '0'\nconntrack: {maxPerCore: 0}\n",
        "bindAddress: 'fd00::1'\nipvs: {scheduler: mh}\niptables: {masqueradeBit: 15}",
        "ipvs: {scheduler: mh, schedulerFlags: []}",
        "ipvs: {tcpTimeout: matchKeepalive}",
        "ipvs: {sync: {interface: eth0, syncID: 7, group: 'ff05::81', maxLength: 1400}}",
    ] {
        let first = resolved(&ours(fields));
        let again = resolved(&first.document().to_string());
        assert_eq!(
            (&first.node, &first.settings),
            (&again.node, &again.settings)
        );
        assert_eq!(first.document(), again.document());
        let configz = first.configz();
        assert_eq!(configz["kube-ipvs.io"], first.document());
        let of_kube_proxy = resolved(&configz["kubeproxy.config.k8s.io"].to_string());
        assert_eq!(of_kube_proxy.warnings, []);
        assert_eq!(of_kube_proxy.node.scheduler, first.node.scheduler);
        assert_eq!(of_kube_proxy.node.detect_local, first.node.detect_local);
        let settings = [&of_kube_proxy, &first].map(|config| &config.node.kernel_settings);
        assert_eq!(settings[0].timeouts, settings[1].timeouts);
        assert_eq!(settings[0].conntrack, settings[1].conntrack);
    }
}
