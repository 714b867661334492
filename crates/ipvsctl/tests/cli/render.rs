//! `ipvsctl render`.

use std::fs::File;

use crate::desk::{Desk, SHOP, SHOP_TABLES};
use serde_json::{Value, json};

#[test]
fn all_protocols_and_families_are_rendered() {
    let desk = Desk::new().with("shop.yaml", SHOP);
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml --node node1")
        .exits(0);
    assert_eq!(ran.out, SHOP_TABLES);
    assert_eq!(ran.err, "");
}

#[test]
fn standard_input_directories_and_lists_are_read() {
    let desk = Desk::new().with("shop.yaml", SHOP);
    let from_stdin = desk.run_with(
        "render --section ipvs --section addresses -f - --node node1",
        |command| {
            command.stdin(File::open(desk.file("shop.yaml")).expect("the file"));
        },
    );
    assert_eq!(from_stdin.exits(0).out, SHOP_TABLES);
    assert_eq!(
        desk.run("render --section ipvs --section addresses -f . --node node1")
            .exits(0)
            .out,
        SHOP_TABLES
    );

    let items: Vec<Value> = SHOP
        .split("\n---\n")
        .map(|text| serde_saphyr::from_str(text).expect("YAML"))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let desk = Desk::new().with("list.json", &list.to_string());
    assert_eq!(
        desk.run("render --section ipvs --section addresses -f list.json --node node1")
            .exits(0)
            .out,
        SHOP_TABLES
    );
}

#[test]
fn several_paths_are_read() {
    let (first, second) = SHOP.split_at(
        SHOP.find("---\napiVersion: v1\nkind: Service")
            .expect("a second Service"),
    );
    let desk = Desk::new().with("a.yaml", first).with("b.yaml", second);
    for args in ["-f a.yaml b.yaml --node n", "-f a.yaml -f b.yaml --node n"] {
        assert_eq!(
            desk.run(&format!("render --section ipvs --section addresses {args}"))
                .exits(0)
                .out,
            SHOP_TABLES
        );
    }
}

#[test]
fn json_has_version_and_services() {
    let desk = Desk::new().with("shop.yaml", SHOP);
    let ran = desk
        .run("render -f shop.yaml --node Node1 -o json")
        .exits(0);
    let tables: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(tables["apiVersion"], "kube-ipvs.io/v1alpha1");
    assert_eq!(tables["kind"], "NodeTables");
    assert_eq!(tables["nodeName"], "node1");
    assert_eq!(
        tables["addresses"],
        json!(["10.96.0.10/32", "10.96.0.20/32", "fd00:96::10/128"])
    );
    assert_eq!(
        tables["virtualServers"][1],
        json!({
            "address": "10.96.0.20", "port": 2905, "protocol": "SCTP",
            "service": {"namespace": "voice", "name": "phone", "port": "ss7"},
            "scheduler": "rr", "flags": ["persistent"],
            "persistence": {"timeoutSeconds": 10800, "prefixLength": 32},
            "realServers": [
                {"address": "10.244.1.6", "port": 12905, "forwarding": "Masq", "weight": 1}
            ],
        })
    );
}

#[test]
fn scheduler_of_the_configuration_is_used() {
    let desk = Desk::new().with("shop.yaml", SHOP).with(
        "config.yaml",
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
         hostnameOverride: node1\nipvs: {scheduler: lc}\n",
    );
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml --config config.yaml")
        .exits(0);
    assert_eq!(ran.out, SHOP_TABLES.replace("-s rr", "-s lc"));
}

#[test]
fn unknown_scheduler_of_the_configuration_is_a_warning() {
    let desk = Desk::new().with("shop.yaml", SHOP).with(
        "config.yaml",
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
         hostnameOverride: node1\nipvs: {scheduler: fastest}\n",
    );
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml --config config.yaml")
        .exits(0);
    assert_eq!(ran.out, SHOP_TABLES.replace("-s rr", "-s fastest"));
    assert!(
        ran.err.starts_with("warning: ipvs.scheduler: fastest "),
        "{}",
        ran.err
    );
}

#[test]
fn all_mistakes_of_a_configuration_are_reported() {
    let desk = Desk::new().with("shop.yaml", SHOP).with(
        "config.yaml",
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
         hostnameOverride: node1\nipvs: {syncPeriod: soon, excludeCIDRs: [10.0.0.0/99]}\n",
    );
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml --config config.yaml")
        .exits(2);
    assert_eq!(ran.out, "");
    let mut lines: Vec<&str> = ran.err.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{}", ran.err);
    assert!(
        lines[0].starts_with("error: ipvs.excludeCIDRs[0]: "),
        "{}",
        ran.err
    );
    assert!(
        lines[1].starts_with("error: ipvs.syncPeriod: "),
        "{}",
        ran.err
    );
}

#[test]
fn service_without_cluster_ip_is_a_warning() {
    let desk = Desk::new().with(
        "web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n",
    );
    let ran = desk
        .run("render --section ipvs --section addresses -f web.yaml --node n")
        .exits(0);
    assert!(
        (ran.err).starts_with("warning: the Service has no clusterIP")
            && ran.err.contains("default/web"),
        "{}",
        ran.err
    );
}

#[test]
fn node_name_is_required_and_may_come_from_the_node_state() {
    let desk = Desk::new().with("shop.yaml", SHOP).with(
        "node.yaml",
        "nodeName: node7\ninterfaces: [{name: eth0, addresses: [192.0.2.1/24]}]\n",
    );
    let ran = desk
        .run("render -f shop.yaml --node-state node.yaml -o json")
        .exits(0);
    assert!(ran.out.contains("\"nodeName\": \"node7\""), "{}", ran.out);
    desk.run("render --section ipvs --section addresses -f shop.yaml")
        .exits(2)
        .says(
            "error: the node is not named; nothing was done: give --node NAME, or set nodeName in the \
             --node-state file or hostnameOverride in the --config file",
        );
}

#[test]
fn broken_document_is_reported_and_the_others_are_rendered() {
    let broken = format!("{SHOP}---\napiVersion: v1\nkind: Service\nmetadata: {{name: [}}\n");
    let line = broken.lines().count();
    let desk = Desk::new().with("shop.yaml", &broken);
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml --node node1")
        .exits(2);
    assert_eq!(ran.out, SHOP_TABLES);
    let place = format!("error: shop.yaml:{line}:");
    assert!(ran.err.starts_with(&place), "{place} in {}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

#[test]
fn field_of_wrong_type_is_reported_and_the_others_are_rendered() {
    let broken = format!(
        "{SHOP}---\napiVersion: v1\nkind: Service\nmetadata: {{name: odd}}\nspec:\n  ports:\n  - port: many\n"
    );
    let line = broken.lines().count();
    let desk = Desk::new().with("shop.yaml", &broken);
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml --node node1")
        .exits(2);
    assert_eq!(ran.out, SHOP_TABLES);
    let expected = format!("error: shop.yaml:{line}:11: Service default/odd: spec.ports[0].port: ");
    assert!(ran.err.starts_with(&expected), "{expected} in {}", ran.err);
}

#[test]
fn missing_file_is_reported() {
    let desk = Desk::new().with("shop.yaml", SHOP);
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml -f gone.yaml --node node1")
        .exits(2);
    assert_eq!(ran.out, SHOP_TABLES);
    assert!(
        ran.err
            .starts_with("error: gone.yaml: cannot be read: No such file"),
        "{}",
        ran.err
    );
}

#[test]
fn invalid_address_is_a_finding() {
    let odd = format!(
        "{SHOP}---\napiVersion: v1\nkind: Service\nmetadata: {{name: odd, namespace: default}}\n\
         spec: {{clusterIP: 10.96.0.300, ports: [{{port: 80}}]}}\n"
    );
    let desk = Desk::new().with("shop.yaml", &odd);
    let ran = desk
        .run("render --section ipvs --section addresses -f shop.yaml --node node1")
        .exits(0);
    assert_eq!(ran.out, SHOP_TABLES);
    assert!(
        (ran.err).starts_with("error: KIV0101 Service default/odd: spec.clusterIPs[0]: "),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("10.96.0.300"), "{}", ran.err);

    let ran = desk
        .run("render -f shop.yaml --node node1 -o json")
        .exits(0);
    let tables: Value = serde_json::from_str(&ran.out).expect("JSON");
    let finding = &tables["findings"][0];
    assert_eq!(finding["code"], "KIV0101");
    assert_eq!(finding["level"], "error");
    assert_eq!(finding["namespace"], "default");
    assert_eq!(finding["name"], "odd");
    assert_eq!(finding["field"], "spec.clusterIPs[0]");
}

#[test]
fn files_without_services_are_a_warning() {
    let desk = Desk::new().with(
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    let ran = desk
        .run("render --section ipvs --section addresses -f map.yaml --node n")
        .exits(0);
    assert_eq!(ran.out, "# ipvs\n# addresses\n");
    assert_eq!(ran.err, "warning: map.yaml: no Services found\n");
}
