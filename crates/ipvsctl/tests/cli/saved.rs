//! Saved tables: each format describes all that `ipvsctl diff` needs.

use crate::folder::{Folder, SHOP_TABLES};

/// A Service with a node port and an endpoint on the node, and its Node without addresses.
const CLUSTER: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  ports: [{name: http, port: 80, nodePort: 30080, protocol: TCP}]
---
apiVersion: v1
kind: Service
metadata: {name: copy, namespace: shop}
spec:
  clusterIP: 10.96.0.11
  clusterIPs: [10.96.0.11]
  externalIPs: [203.0.113.9]
  ports: [{name: http, port: 81, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
  - {addresses: [10.244.1.5], nodeName: node1, conditions: {ready: true}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  {name: copy-1, namespace: shop, labels: {kubernetes.io/service-name: copy}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
  - {addresses: [10.244.1.5], nodeName: node1, conditions: {ready: true}}
";

const NODE: &str = "\
nodeName: node1
kernel: 6.1.0
processors: 4
interfaces:
  - {name: eth0, addresses: [192.0.2.7/24, 'fd77::7/64']}
  - {name: lo, addresses: [127.0.0.1/8]}
";

/// Sections of the node and of a real server that drains, as `get tables -o text` prints them.
const REST: &str = "\
# timeouts
--set 900 120 300
# node
kernel 6.1
processors 4
1: eth0    inet 192.0.2.7/24
1: eth0    inet6 fd77::7/64
2: lo    inet 127.0.0.1/8
# connections
-t 10.96.0.10:80 -r 10.244.9.9:8080 active 3 inactive 0 persistent 0
";

const DIFF: &str = "diff -f cluster.yaml --node node1 --live";

/// Returns a folder with the saved tables `saved.txt` of a node without differences. A real server
/// has connections left.
fn healthy() -> Folder {
    let folder = Folder::new()
        .with("cluster.yaml", CLUSTER)
        .with("node.yaml", NODE);
    let rendered = folder.run("render -f cluster.yaml --node-state node.yaml");
    let rendered = rendered.exits(0).out;
    let draining = "-a -t 10.96.0.10:80 -r 10.244.9.9:8080 -m -w 0\n";
    let tables = rendered.replace("# ipvs\n", &format!("# ipvs\n{draining}"));
    folder.with("saved.txt", &(tables + REST))
}

#[test]
fn the_saved_tables_of_a_healthy_node_have_no_difference() {
    let folder = healthy();
    for format in ["text", "json", "yaml"] {
        let saved = folder.run(&format!("get tables --live saved.txt -o {format}"));
        std::fs::write(folder.file(format), saved.exits(0).out).expect("a file is written");
        let ran = folder.run(&format!("{DIFF} {format}")).exits(0);
        assert_eq!(ran.err, "", "{format}");
        assert_eq!(ran.out, "Plan: 0 to add, 0 to change, 0 to delete\n");
        // Each format prints the same from the file of another.
        let text = folder.run(&format!("get tables --live {format} -o text"));
        let expected = folder.run("get tables --live text -o text").exits(0).out;
        assert_eq!(text.exits(0).out, expected, "{format}");
        let state = folder.run(&format!("get node-state --live {format}"));
        let state = state.exits(0).out;
        assert!(state.contains("192.0.2.7/24"), "{format}: {state}");
    }
    let rendered = folder.run("render -f cluster.yaml --node-state node.yaml -o json");
    std::fs::write(folder.file("rendered"), rendered.exits(0).out).expect("a file is written");
    folder
        .run(&format!("{DIFF} rendered --node-state node.yaml"))
        .exits(0);
}

#[test]
fn every_entry_that_a_service_asks_for_is_in_its_group() {
    let folder = healthy().with(
        "empty.txt",
        "# ipvs\n# addresses\n# ipset\n# rules\n# rules4\n# rules6\n# sysctl\n\
         # node\nkernel 6.1\nprocessors 4\n1: eth0 inet 192.0.2.7/24\n",
    );
    let ran = folder
        .run(&format!("{DIFF} empty.txt --kind address --kind set"))
        .exits(1);
    assert!(!ran.out.contains("(no Service)"), "{}", ran.out);
    let group = |name: &str| {
        let rest = ran.out.split_once(&format!("\n{name}\n")).expect("a group");
        rest.1.split("\n\n").next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        group("shop/web:http"),
        "\
+ add KUBE-NODE-PORT-TCP 30080
+ add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
+ add KUBE-IPVS-IPS 10.96.0.10
+ 10.96.0.10/32"
    );
    let copy = group("shop/copy:http");
    let shared = "+ add KUBE-LOOP-BACK 10.244.1.5,tcp:8080,10.244.1.5    also for 1 other Service";
    assert!(copy.lines().any(|line| line == shared), "{copy}");
    let ran = folder
        .run(&format!("{DIFF} empty.txt --kind set --service shop/web"))
        .exits(1);
    assert!(ran.out.lines().any(|line| line == shared), "{}", ran.out);
}

#[test]
fn a_file_without_interfaces_is_explained() {
    let folder = healthy();
    let saved = std::fs::read_to_string(folder.file("saved.txt")).expect("the tables");
    let older = saved.split("# timeouts").next().unwrap_or_default();
    std::fs::write(folder.file("older.txt"), older).expect("a file is written");
    folder.run(&format!("{DIFF} older.txt")).exits(1).says(
        "note: the saved tables lack the interfaces of the node: node ports may show as deletions and kernel \
         settings as changes; give --node-state FILE, or save the tables with ipvsctl get tables -o text",
    );
    let ran = folder.run(&format!(
        "{DIFF} older.txt --node-state node.yaml --kind set"
    ));
    let ran = ran.exits(0);
    assert!(!ran.err.contains("interfaces"), "{}", ran.err);
}

#[test]
fn a_file_without_connections_is_explained() {
    let folder = healthy();
    let saved = std::fs::read_to_string(folder.file("saved.txt")).expect("the tables");
    let older = saved.split("# connections").next().unwrap_or_default();
    std::fs::write(folder.file("older.txt"), older).expect("a file is written");
    let ran = folder.run(&format!("{DIFF} older.txt")).exits(1).says(
        "note: the saved tables lack connections: real servers of weight 0 show as deletions although they \
         may still have connections",
    );
    assert!(
        ran.out.contains("- -d -t 10.96.0.10:80 -r 10.244.9.9:8080"),
        "{}",
        ran.out
    );
}

#[test]
fn two_files_are_compared() {
    let other = SHOP_TABLES
        .replace("-A -t 10.96.0.10:80 -s rr", "-A -t 10.96.0.10:80 -s wrr")
        .replace("10.96.0.20/32\n", "");
    let folder = Folder::new()
        .with("a.txt", SHOP_TABLES)
        .with("b.txt", &other);
    assert_eq!(
        folder.run("diff a.txt a.txt").exits(0).out,
        "Plan: 0 to add, 0 to change, 0 to delete\n"
    );
    let expected = "\
virtual servers  ~1
addresses            -1

(virtual servers)
~ -E -t 10.96.0.10:80 -s wrr    scheduler rr -> wrr

(addresses)
- 10.96.0.20/32

Plan: 0 to add, 1 to change, 1 to delete
";
    let ran = folder.run("diff a.txt b.txt").exits(1);
    assert_eq!((&*ran.out, &*ran.err), (expected, ""));
    let object = folder.run("diff a.txt b.txt -o yaml").exits(1).out;
    assert!(
        object.contains("reason: only in the first tables"),
        "{object}"
    );
    let stat = folder
        .run("diff a.txt b.txt --stat --kind address")
        .exits(1);
    assert_eq!(
        stat.out,
        "addresses  -1\n\n(addresses)  -1\n\nPlan: 0 to add, 0 to change, 1 to delete\n"
    );
    folder.run("diff a.txt").exits(2);
    folder.run("diff a.txt b.txt --live a.txt").exits(2);
    folder.run("diff a.txt b.txt --service shop/web").exits(2);
    folder.run("diff - -").exits(2).says(
        "error: both inputs are standard input, which can be read only once: name a file for one of them",
    );
}

#[test]
fn parts_that_one_of_two_files_lacks_are_not_compared() {
    let folder = Folder::new()
        .with("a.txt", "-A -t 10.96.0.10:80 -s rr\n")
        .with(
            "b.txt",
            "-A -t 10.96.0.10:80 -s rr\n# addresses\n10.96.0.10/32\n# sysctl\na.b = 1\n",
        );
    let ran = folder.run("diff a.txt b.txt").exits(0);
    assert_eq!(
        ran.err,
        "warning: a.txt: the saved tables lack addresses, which are not compared\n\
         warning: a.txt: the saved tables lack kernel settings, which are not compared\n"
    );
}
