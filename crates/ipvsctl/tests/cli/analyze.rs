//! `ipvsctl analyze`, and all sections of `ipvsctl render`.

use crate::folder::Folder;
use serde_json::Value;

/// A load balancer with all kinds of addresses, one of which belongs to another node.
const SHOP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  externalTrafficPolicy: Local
  healthCheckNodePort: 31000
  externalIPs: [203.0.113.9, 192.168.77.11]
  loadBalancerSourceRanges: [192.0.2.0/24, everybody]
  ports: [{name: http, port: 80, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.244.2.5], nodeName: node2}]
ports: [{name: http, port: 8080, protocol: TCP}]
---
apiVersion: v1
kind: Node
metadata: {name: node1}
status: {addresses: [{type: InternalIP, address: 192.168.77.10}]}
---
apiVersion: v1
kind: Node
metadata: {name: node2}
status: {addresses: [{type: InternalIP, address: 192.168.77.11}]}
";

const NODE: &str = "\
nodeName: node1
kernel: 6.1.176
interfaces:
  - {name: eth0, addresses: [192.168.77.10/24]}
";

fn folder() -> Folder {
    Folder::new()
        .with("shop.yaml", SHOP)
        .with("node.yaml", NODE)
}

#[test]
fn findings_are_ordered_and_counted() {
    let ran = folder()
        .run("analyze -f shop.yaml --node-state node.yaml")
        .exits(1);
    assert_eq!(
        ran.out,
        "\
KIV0105 error Service shop/web: spec.loadBalancerSourceRanges[1]: `everybody` is not a network such as 192.0.2.0/24; it admits no client
KIV0108 error Service shop/web: spec.externalIPs[1]: 192.168.77.11 is an address of Node node2; this address is not served
KIV0111 info Service shop/web: spec.externalTrafficPolicy: it is Local, and no endpoint is on this node; connections from outside get no answer at this node

2 errors, 0 warnings, 1 info in 1 Service for node node1
"
    );
    assert_eq!(ran.err, "");
}

#[test]
fn findings_below_the_level_are_only_counted() {
    let ran = folder()
        .run("analyze -f shop.yaml --node-state node.yaml --level error")
        .exits(1);
    assert!(!ran.out.contains("KIV0111"), "{}", ran.out);
    assert!(
        ran.out.contains("2 errors, 0 warnings, 1 info"),
        "{}",
        ran.out
    );
}

#[test]
fn valid_objects_have_no_findings() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}";
    let slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
                 metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}, \
                 endpoints: [{addresses: [10.1.0.5]}], ports: [{port: 80}]}";
    let folder = Folder::new().with("web.yaml", &format!("{service}\n---\n{slice}"));
    let ran = folder.run("analyze -f web.yaml --node n").exits(0);
    assert_eq!(
        ran.out,
        "0 errors, 0 warnings, 0 infos in 1 Service for node n\n"
    );
}

#[test]
fn findings_have_a_schema() {
    let value = folder()
        .run("analyze -f shop.yaml --node-state node.yaml -o json")
        .exits(1)
        .json();
    assert_eq!(value["kind"], "Findings");
    assert_eq!(value["services"], 1);
    assert_eq!(value["findings"][1]["code"], "KIV0108");
    assert_eq!(value["findings"][1]["level"], "error");
}

/// A Service at the address of the API server, which is in the kubeconfig and in no object.
const VIP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: dashboard, namespace: shop}
spec:
  clusterIPs: [10.96.0.90]
  externalIPs: ['::ffff:192.0.2.100', 203.0.113.9]
  ports: [{port: 443}]
";

fn vip_folder(server: &str) -> Folder {
    let kubeconfig = format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    let folder = Folder::new()
        .with("vip.yaml", VIP)
        .with("kubeconfig", &kubeconfig);
    let config = format!(
        "clientConnection: {{kubeconfig: {}}}\n",
        folder.file("kubeconfig").display()
    );
    folder.with("config.yaml", &config)
}

#[test]
fn every_command_refuses_the_api_servers_address() {
    let folder = vip_folder("https://192.0.2.100:6443");
    let ran = folder
        .run("analyze -f vip.yaml --node n --config config.yaml")
        .exits(1);
    let finding = "KIV0116 error Service shop/dashboard: spec.externalIPs[0]: 192.0.2.100 is an address of the API server; \
        this address is not served; choose another one\n";
    assert!(ran.out.starts_with(finding), "{}", ran.out);
    assert_eq!(ran.err, "");
    let ran = folder
        .run("render -f vip.yaml --node n --config config.yaml --section addresses")
        .exits(0);
    assert_eq!(ran.out, "# addresses\n10.96.0.90/32\n203.0.113.9/32\n");
    let live = "-A -t 192.0.2.100:443 -s rr\n# addresses\n192.0.2.100/32\n";
    let ran = folder
        .with("live.txt", live)
        .run("diff -f vip.yaml --node n --config config.yaml --live live.txt")
        .exits(1);
    assert!(ran.out.contains("-D -t 192.0.2.100:443"), "{}", ran.out);
    assert!(ran.out.contains("192.0.2.100/32"), "{}", ran.out);
}

#[test]
fn unknown_address_of_the_api_server_is_reported() {
    let folder = vip_folder("https://api.example:6443");
    let ran = folder
        .run("render -f vip.yaml --node n --config config.yaml")
        .exits(0);
    let problem = "the server is api.example:6443, and this command does not resolve names";
    assert!(ran.err.contains(problem), "{}", ran.err);
    let folder = folder.with(
        "config.yaml",
        "clientConnection: {kubeconfig: /nonexistent/k}\n",
    );
    let ran = folder
        .run("render -f vip.yaml --node n --config config.yaml")
        .exits(0);
    assert!(ran.err.contains("/nonexistent/k: "), "{}", ran.err);
}

#[test]
fn code_is_explained() {
    let ran = folder().run("analyze --explain kiv0108").exits(0);
    assert!(ran.out.contains("breaks the cluster"), "{}", ran.out);
    folder().run("analyze --explain KIV9999").exits(2);
}

#[test]
fn rendered_sections_are_read_back_by_diff() {
    let folder = folder();
    let args = "-f shop.yaml --node-state node.yaml";
    let text = folder.run(&format!("render {args}")).exits(0).out;
    for line in [
        "-A -t 192.168.77.10:30080 -s rr",
        "203.0.113.9/32",
        "add KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.10,tcp:80,192.0.2.0/24",
        "add KUBE-NODE-PORT-LOCAL-TCP 30080",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
        "net.ipv4.vs.conn_reuse_mode = 1",
        "#31000 shop/web 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    let json = folder.run(&format!("render {args} -o json")).exits(0).out;
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["healthChecks"][0]["port"], 31000);
    assert_eq!(value["sysctls"]["net.ipv4.vs.conntrack"], "1");
    let folder = folder.with("live.txt", &text).with("live.json", &json);
    let plan = |live: &str| {
        let ran = folder.run(&format!("diff {args} --live {live}")).exits(0);
        // Virtual servers at addresses of the node count as ours.
        assert!(!ran.err.contains("KIV0301"), "{}", ran.err);
        ran.out
    };
    let nothing = "Plan: 0 to add, 0 to change, 0 to delete\n";
    assert_eq!(plan("live.txt"), nothing);
    assert_eq!(plan("live.json"), nothing);
}

#[test]
fn only_the_selected_sections_are_printed() {
    let ran = folder()
        .run("render -f shop.yaml --node-state node.yaml --section addresses --section health-checks")
        .exits(0);
    assert_eq!(
        ran.out,
        "# addresses\n10.96.0.10/32\n203.0.113.10/32\n203.0.113.9/32\n# health-checks\n#31000 shop/web 0\n"
    );
}

#[test]
fn unknown_fields_are_warnings_unless_strict() {
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n, lables: {}}}";
    let folder = Folder::new().with("node.yaml", node);
    let ran = folder.run("analyze -f node.yaml --node n").exits(0);
    assert!(
        ran.err.contains("metadata.lables: unknown field"),
        "{}",
        ran.err
    );
    folder
        .run("analyze -f node.yaml --node n --strict")
        .exits(2);
}
