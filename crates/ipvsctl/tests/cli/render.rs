//! `ipvsctl render`.

use std::fs::File;

use crate::folder::{Folder, Ran, SHOP, SHOP_TABLES};
use serde_json::{Value, json};

const RENDER: &str = "render --section ipvs --section addresses";

/// Renders virtual servers and addresses.
fn render(folder: &Folder, args: &str) -> Ran {
    folder.run(&format!("{RENDER} {args}"))
}

#[test]
fn all_protocols_and_families_are_rendered_from_any_input() {
    let second = SHOP.find("---\napiVersion: v1\nkind: Service");
    let (first, second) = SHOP.split_at(second.expect("a second Service"));
    let items: Vec<Value> = SHOP
        .split("\n---\n")
        .map(|text| serde_saphyr::from_str(text).expect("YAML"))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let one = Folder::new().with("shop.yaml", SHOP);
    let two = Folder::new().with("a.yaml", first).with("b.yaml", second);
    let of_list = Folder::new().with("list.json", &list);
    for (folder, args) in [
        (&one, "-f shop.yaml"),
        (&one, "-f ."),
        (&one, "-f -"),
        (&two, "-f a.yaml b.yaml"),
        (&two, "-f a.yaml -f b.yaml"),
        (&of_list, "-f list.json"),
    ] {
        let ran = folder.run_with(&format!("{RENDER} {args} --node node1"), |command| {
            if args == "-f -" {
                command.stdin(File::open(folder.file("shop.yaml")).expect("the file"));
            }
        });
        let ran = ran.exits(0);
        assert_eq!((&*ran.out, &*ran.err), (SHOP_TABLES, ""), "{args}");
    }
}

#[test]
fn real_servers_follow_their_virtual_server() {
    let folder = Folder::new().with("shop.yaml", SHOP);
    let out = render(&folder, "-f shop.yaml --node node1").exits(0).out;
    let servers = out.lines().filter(|line| line.starts_with('-'));
    let mut last = String::new();
    let mut keys = Vec::new();
    for line in servers {
        let words: Vec<&str> = line.split(' ').collect();
        let key = words[1..3].join(" ");
        match words[0] {
            "-A" => {
                keys.push(
                    words[2]
                        .parse::<std::net::SocketAddr>()
                        .expect("an address"),
                );
                last = key;
            }
            _ => assert_eq!(key, last, "{line}"),
        }
    }
    assert!(keys.is_sorted() && keys.len() == 4, "{keys:?}");
}

#[test]
fn json_has_version_and_services() {
    let folder = Folder::new().with("shop.yaml", SHOP);
    let tables = folder
        .run("render -f shop.yaml --node Node1 -o json")
        .exits(0)
        .json();
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

/// Returns a folder with [`SHOP`] and a configuration with `fields`.
fn configured(fields: &str) -> Folder {
    let config = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
         hostnameOverride: node1\n{fields}\n"
    );
    Folder::new()
        .with("shop.yaml", SHOP)
        .with("config.yaml", &config)
}

#[test]
fn scheduler_of_the_configuration_is_used() {
    for (scheduler, warning) in [("lc", ""), ("fastest", "warning: ipvs.scheduler: fastest ")] {
        let folder = configured(&format!("ipvs: {{scheduler: {scheduler}}}"));
        let ran = render(&folder, "-f shop.yaml --config config.yaml").exits(0);
        let expected = SHOP_TABLES.replace("-s rr", &format!("-s {scheduler}"));
        assert_eq!(ran.out, expected);
        assert!(ran.err.starts_with(warning), "{scheduler}: {}", ran.err);
    }
}

#[test]
fn all_mistakes_of_a_configuration_are_reported() {
    let folder = configured("ipvs: {syncPeriod: soon, excludeCIDRs: [10.0.0.0/99]}");
    let ran = render(&folder, "-f shop.yaml --config config.yaml").exits(2);
    assert_eq!(ran.out, "");
    let mut lines: Vec<&str> = ran.err.lines().collect();
    lines.sort_unstable();
    let expected = ["error: ipvs.excludeCIDRs[0]: ", "error: ipvs.syncPeriod: "];
    assert_eq!(lines.len(), expected.len(), "{}", ran.err);
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn service_without_cluster_ip_is_a_warning() {
    let folder = Folder::new().with(
        "web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n",
    );
    let ran = render(&folder, "-f web.yaml --node n").exits(0);
    assert!(
        (ran.err).starts_with("warning: the Service has no clusterIP")
            && ran.err.contains("default/web"),
        "{}",
        ran.err
    );
}

#[test]
fn node_name_is_required_and_may_come_from_the_node_state() {
    let folder = Folder::new().with("shop.yaml", SHOP).with(
        "node.yaml",
        "nodeName: node7\ninterfaces: [{name: eth0, addresses: [192.0.2.1/24]}]\n",
    );
    let ran = folder
        .run("render -f shop.yaml --node-state node.yaml -o json")
        .exits(0);
    assert!(ran.out.contains("\"nodeName\": \"node7\""), "{}", ran.out);
    render(&folder, "-f shop.yaml").exits(2).says(
        "error: the node is not named; nothing was done: give --node NAME, or set nodeName in the \
         --node-state file or hostnameOverride in the --config file",
    );
}

const ODD: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: odd, namespace: default}\n";

/// Renders [`SHOP`] with another document, or with another file. LINE stands for the last line.
#[test]
fn input_that_cannot_be_used_is_reported_and_the_rest_is_rendered() {
    for (document, args, status, error) in [
        (
            "kind: Service\nmetadata: {name: [}\n",
            "",
            2,
            "shop.yaml:LINE:",
        ),
        (
            &*format!("{ODD}spec:\n  ports:\n  - port: many\n"),
            "",
            2,
            "shop.yaml:LINE:11: Service default/odd: spec.ports[0].port: ",
        ),
        (
            &format!("{ODD}spec: {{clusterIP: 10.96.0.300, ports: [{{port: 80}}]}}\n"),
            "",
            0,
            "KIV0101 Service default/odd: spec.clusterIPs[0]: ",
        ),
        (
            "",
            " -f gone.yaml",
            2,
            "gone.yaml: cannot be read: No such file",
        ),
    ] {
        let text = format!("{SHOP}---\n{document}");
        let folder = Folder::new().with("shop.yaml", &text);
        let ran = render(&folder, &format!("-f shop.yaml{args} --node node1")).exits(status);
        assert_eq!(ran.out, SHOP_TABLES, "{error}");
        let line = text.lines().count().to_string();
        let start = format!("error: {}", error.replace("LINE", &line));
        assert!(ran.err.starts_with(&start), "{start} in {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    }
}

#[test]
fn invalid_address_is_a_finding() {
    let odd = format!("{ODD}spec: {{clusterIP: 10.96.0.300, ports: [{{port: 80}}]}}\n");
    let ran = Folder::new()
        .with("odd.yaml", &odd)
        .run("render -f odd.yaml --node node1 -o json")
        .exits(0);
    assert!(ran.err.contains("10.96.0.300"), "{}", ran.err);
    let finding = &ran.json()["findings"][0];
    assert_eq!(finding["code"], "KIV0101");
    assert_eq!(finding["level"], "error");
    assert_eq!(finding["namespace"], "default");
    assert_eq!(finding["name"], "odd");
    assert_eq!(finding["field"], "spec.clusterIPs[0]");
}

#[test]
fn files_without_services_are_a_warning() {
    let folder = Folder::new().with(
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    let ran = render(&folder, "-f map.yaml --node n").exits(0);
    assert_eq!(ran.out, "# ipvs\n# addresses\n");
    assert_eq!(
        ran.err,
        "warning: map.yaml: no Services or VirtualServers found\n"
    );
}

#[test]
fn nothing_is_rendered_if_nothing_can_be_read() {
    let ran = Folder::new().run("render -f nosuch --node node1").exits(2);
    assert_eq!(ran.out, "");
    ran.says("error: no Service and no VirtualServer could be read: see the errors above");
}
