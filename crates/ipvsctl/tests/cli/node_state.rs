//! `--node-state`, which describes the interfaces of a node for `diff --live`, `render` and
//! `analyze`.

use crate::folder::Folder;

/// A Service with a node port.
const SHOP: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: default
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
  - {addresses: [10.244.1.5], conditions: {ready: true}, nodeName: node1}
"#;
const NODE: &str = "nodeName: node1\nkernel: 6.1.0\nprocessors: 4\n\
                    interfaces:\n  - {name: eth0, addresses: [192.0.2.7/24]}\n";
/// The same node with another address.
const MOVED: &str = "nodeName: node1\nkernel: 6.1.0\nprocessors: 4\n\
                     interfaces:\n  - {name: eth0, addresses: [192.0.2.8/24]}\n";
const DIFF: &str = "diff -f shop.yaml --node-state node.yaml --live saved.txt";

/// Returns a folder with all rendered tables of the node in `saved.txt`.
fn saved() -> Folder {
    let folder = Folder::new()
        .with("shop.yaml", SHOP)
        .with("node.yaml", NODE)
        .with("moved.yaml", MOVED);
    let tables = folder
        .run("render -f shop.yaml --node-state node.yaml")
        .exits(0)
        .out;
    let node_port = "-A -t 192.0.2.7:30080 -s rr\n";
    assert!(tables.contains(node_port), "{tables}");
    folder.with("saved.txt", &tables)
}

#[test]
fn node_port_at_an_address_of_the_node_is_ours() {
    let ran = saved().run(DIFF).exits(0);
    let nothing = "Plan: 0 to add, 0 to change, 0 to delete\n";
    assert_eq!((ran.out.as_str(), ran.err.as_str()), (nothing, ""));
}

#[test]
fn node_port_without_set_entry_is_foreign() {
    let folder = saved();
    let tables = std::fs::read_to_string(folder.file("saved.txt")).expect("the tables");
    let unrecorded = tables.replace("add KUBE-NODE-PORT-TCP 30080\n", "");
    assert!(unrecorded != tables, "{tables}");
    let ran = folder.with("saved.txt", &unrecorded).run(DIFF).exits(0);
    assert!(
        ran.err
            .starts_with("error: KIV0301 Service default/web: spec.ports: "),
        "{}",
        ran.err
    );
}

#[test]
fn node_port_is_added_at_a_new_address() {
    let diff = DIFF.replace("node.yaml", "moved.yaml");
    let ran = saved().run(&diff).exits(1);
    let added = "+ -A -t 192.0.2.8:30080 -s rr";
    assert!(
        ran.out.lines().any(|line| line.starts_with(added)),
        "{}",
        ran.out
    );
    assert_eq!(ran.err, "");
}

/// Without `--node-state` the status of the Node has the addresses.
#[test]
fn offline_node_ports_use_addresses_of_the_node_status() {
    let node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: node1}\nstatus:\n  addresses:\n  \
                - {type: Hostname, address: node1}\n  - {type: InternalIP, address: 192.0.2.7}\n";
    let folder = Folder::new()
        .with("shop.yaml", &format!("{SHOP}{node}"))
        .with("all.yaml", "nodePortAddresses: [primary]\n")
        .with("none.yaml", "nodePortAddresses: [198.51.100.0/24]\n");
    for config in ["", " --config all.yaml"] {
        let render = format!("render -f shop.yaml --node node1{config}");
        let ran = folder.run(&render).exits(0);
        assert!(
            ran.out.contains("-A -t 192.0.2.7:30080 -s rr\n"),
            "{}",
            ran.out
        );
        let analyze = format!("analyze -f shop.yaml --node node1{config}");
        let ran = folder.run(&analyze).exits(0);
        assert!(!ran.out.contains("KIV0113"), "{}", ran.out);
    }
    let ran = folder
        .run("analyze -f shop.yaml --node node1 --config none.yaml")
        .exits(0);
    assert!(ran.out.contains("KIV0113"), "{}", ran.out);
    // Nothing is known of the other node.
    let ran = folder.run("analyze -f shop.yaml --node node2").exits(0);
    assert!(ran.out.contains("KIV0113"), "{}", ran.out);
}

#[test]
fn node_state_of_this_machine_is_read_back() {
    let folder = Folder::new().with("shop.yaml", SHOP);
    for (format, name) in [
        ("", "n.yaml"),
        (" -o json", "n.json"),
        (" -o text", "t.yaml"),
    ] {
        let written = folder.run(&format!("get node-state{format}")).exits(0);
        assert!(written.out.contains("127.0.0.1/8"), "{}", written.out);
        let folder = Folder::new()
            .with("shop.yaml", SHOP)
            .with(name, &written.out);
        let ran = folder.run(&format!("render -f shop.yaml --node-state {name}"));
        let ran = ran.exits(0);
        assert!(ran.out.contains("conn_reuse_mode"), "{}", ran.out);
    }
    let refused = folder.run("get node-state --live -").exits(2);
    assert!(refused.err.contains("interfaces"), "{}", refused.err);
}
