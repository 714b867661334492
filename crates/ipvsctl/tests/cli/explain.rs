//! `ipvsctl explain`. The texts are in the transcript `reports/explain`.

use crate::folder::{Folder, SHOP_TABLES};
use serde_json::{Value, json};
use support::pages::serve;

const WEB: &str = "explain svc web -f shop.yaml --node node1";

/// Returns a folder whose saved tables have weight 0 for an endpoint of `web` and one that left.
fn draining() -> Folder {
    let gone = "-a -t 10.96.0.10:80 -r 10.244.9.9:8080 -m -w 0\n# addresses";
    Folder::with_live(&SHOP_TABLES.replace("# addresses", gone))
}

#[test]
fn drains_and_the_last_change_come_from_the_daemon() {
    let address = serve(&[
        (
            "/drains",
            r#"[{"virtualServer": "10.96.0.10:80/TCP", "realServer": "10.244.9.9:8080",
                 "service": "default/web:http", "since": "2026-01-02T03:04:05Z", "activeConnections": 7,
                 "inactiveConnections": 1, "ends": "2026-01-02T03:19:05Z"}]"#,
        ),
        (
            "/changes?service=default/web&limit=1",
            r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "Changes", "next": 9, "changes": [
                 {"number": 9, "time": "2026-01-02T03:04:05Z", "effect": "change",
                  "line": "-e -t 10.96.0.10:80 -r 10.244.9.9:8080 -m -w 0",
                  "reason": "no endpoint of the Service, its connections drain",
                  "service": {"namespace": "default", "name": "web", "port": "http"},
                  "cause": "change", "latencySeconds": 0.0125}]}"#,
        ),
    ]);
    let folder = draining();
    let args = format!("{WEB} --live live.txt --metrics-address {address}");
    let ran = folder.run(&args).exits(0);
    assert_eq!(ran.err, "");
    for line in [
        "no endpoint of the Service; draining since 2026-01-02T03:04:05Z until 2026-01-02T03:19:05Z\n",
        "  2026-01-02T03:04:05Z  ~ -e -t 10.96.0.10:80 -r 10.244.9.9:8080 -m -w 0    \
         no endpoint of the Service, its connections drain, 0.013 s after the event of the API server\n",
    ] {
        assert!(ran.out.contains(line), "no line\n{line}\nin\n{}", ran.out);
    }
    let object = folder.run(&format!("{args} -o json")).exits(0).json();
    assert_eq!(object["lastChange"]["latencySeconds"], 0.0125);
    let drained = (object["endpoints"].as_array().expect("a list").iter())
        .find(|endpoint| endpoint["reason"] == "NoEndpoint")
        .expect("the real server that left");
    assert_eq!(
        drained["drain"],
        json!({"since": "2026-01-02T03:04:05Z", "deadline": "2026-01-02T03:19:05Z"})
    );
}

#[test]
fn a_daemon_that_does_not_answer_is_a_note() {
    let address = serve(&[("/proxyMode", "ipvs")]);
    let folder = Folder::with_live(SHOP_TABLES);
    let args = format!("{WEB} --live live.txt --metrics-address {address}");
    folder.run(&args).exits(0).says(&format!(
        "note: kube-ipvsd at {address} does not answer: /drains was answered by status 404; times of \
         drains and the last change are unknown"
    ));
}

#[test]
fn changes_that_the_daemon_does_not_report_are_a_note() {
    let address = serve(&[("/drains", "[]")]);
    let folder = Folder::with_live(SHOP_TABLES);
    let args = format!("{WEB} --live live.txt --metrics-address {address} -o json");
    let ran = folder.run(&args).exits(0).says(&format!(
        "note: kube-ipvsd at {address} does not report its changes: \
         /changes?service=default/web&limit=1 was answered by status 404; the last change is unknown"
    ));
    assert_eq!(ran.json()["lastChange"], json!(null));
}

/// Two Services with an address in common, each with an endpoint on the node.
const SHARED: &str = "
apiVersion: v1
kind: Service
metadata: {name: a, namespace: default}
spec: {clusterIP: 10.96.0.1, externalIPs: [198.51.100.7], ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: default}
spec: {clusterIP: 10.96.0.2, externalIPs: [198.51.100.7], ports: [{port: 81}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, namespace: default, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: \"\", port: 8080}]
endpoints: [{addresses: [10.244.1.5], nodeName: node1}, {addresses: [10.244.2.5], nodeName: node2}]
";

#[test]
fn drift_is_what_diff_shows_for_the_service() {
    let folder = Folder::new().with("shop.yaml", SHARED);
    let input = "-f shop.yaml --node node1";
    let desired = folder.run(&format!("render {input}")).exits(0).out;
    let lost = [
        "-a -t 10.96.0.1:80 -r 10.244.2.5:8080 -m -w 1",
        "198.51.100.7/32",
        "add KUBE-CLUSTER-IP 10.96.0.1,tcp:80",
        "add KUBE-LOOP-BACK 10.244.1.5,tcp:8080,10.244.1.5",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    ];
    let has = |line: &&str| !lost.contains(line);
    let live: Vec<&str> = desired.lines().filter(has).collect();
    assert_eq!(
        live.len() + lost.len() + 1,
        desired.lines().count(),
        "{desired}"
    );
    let folder = folder.with("live.txt", &live.join("\n"));
    let input = format!("{input} --live live.txt -o json");
    let plan = folder.run(&format!("diff {input}")).exits(1).json();
    let groups = plan["services"].as_array().expect("groups");
    let shown = |scope: &str, name: Option<&str>| -> Vec<Value> {
        let of = |group: &&Value| {
            group["scope"] == scope && name.is_none_or(|name| group["service"]["name"] == name)
        };
        let changes = groups.iter().filter(of).map(|group| &group["changes"]);
        changes
            .flat_map(|changes| changes.as_array().expect("changes"))
            .cloned()
            .collect()
    };
    let explained = |name: &str| {
        folder
            .run(&format!("explain svc {name} {input}"))
            .exits(1)
            .json()
    };
    let [a, b] = ["a", "b"].map(explained);
    assert_eq!(a["drift"], json!(shown("service", Some("a"))));
    assert_eq!(a["drift"].as_array().map(Vec::len), Some(4));
    let shared: Vec<Value> = (shown("service", Some("a")).into_iter())
        .filter(|change| change["otherServices"] == 1)
        .collect();
    assert_eq!(b["drift"], json!(shared));
    assert_eq!(a["nodeDrift"], shown("node", None).len());
    assert_eq!(a["nodeDrift"], 2);
}

#[test]
fn each_explanation_is_a_document() {
    let folder = Folder::with_live(SHOP_TABLES);
    for (subject, kind) in [
        ("svc web", "ServiceExplanation"),
        ("ip 10.96.0.10:80", "AddressExplanation"),
        ("pod 10.244.1.5", "PodExplanation"),
    ] {
        let args = format!("explain {subject} -f shop.yaml --node node1 --live live.txt");
        let object = folder.run(&format!("{args} -o json")).exits(0).json();
        assert_eq!(object["kind"], kind);
        assert_eq!(object["verdict"]["ok"], true);
        let yaml = folder.run(&format!("{args} -o yaml")).exits(0).out;
        assert!(yaml.contains(&format!("kind: {kind}\n")), "{yaml}");
    }
}

#[test]
fn a_named_pod_has_all_its_addresses() {
    let slice = |number: u8, family: &str, address: &str| {
        format!(
            "\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: web-p{number}, namespace: default, labels: {{kubernetes.io/service-name: web}}}}\n\
             addressType: {family}\nports: [{{name: http, port: 8080}}]\n\
             endpoints: [{{addresses: ['{address}'], targetRef: {{kind: Pod, name: web-p}}}}]\n"
        )
    };
    let pods = slice(4, "IPv4", "10.244.1.77") + &slice(6, "IPv6", "fd00:1::77");
    let folder = Folder::with_live(SHOP_TABLES).with("pods.yaml", &pods);
    let args = "-f shop.yaml pods.yaml --node node1 --desired";
    let ran = folder.run(&format!("explain pod default/web-p {args}"));
    let start = "Pod default/web-p (10.244.1.77, fd00:1::77), seen from node node1\n";
    assert!(ran.out.starts_with(start), "{ran:#?}");
    let object = folder
        .run(&format!("explain pod default/web-p {args} -o json"))
        .json();
    assert_eq!(object["name"], "default/web-p");
    assert_eq!(object["address"], "10.244.1.77");
    assert_eq!(object["otherAddresses"], json!(["fd00:1::77"]));
    let endpoints = object["endpoints"].as_array().expect("endpoints");
    let found = |address: &str| {
        let mut of_pod = endpoints.iter();
        of_pod.any(|found| found["endpoint"]["address"] == address)
    };
    assert!(found("10.244.1.77") && found("fd00:1::77"), "{object:#}");
}

#[test]
fn the_live_state_may_be_left_out() {
    let folder = Folder::with_live(SHOP_TABLES);
    let object = folder
        .run(&format!("{WEB} --desired -o json"))
        .exits(0)
        .json();
    assert_eq!(object["liveKnown"], false);
    assert_eq!(object["addresses"][0]["virtualServer"], "Unknown");
    assert_eq!(object["endpoints"][0]["weights"], json!(null));
    folder
        .run(&format!("{WEB} --desired --live live.txt"))
        .exits(2);
}

#[test]
fn only_findings_of_the_service_are_printed() {
    let broken = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: default}\n\
                  spec: {clusterIP: 10.96.0.300, ports: [{port: 80}]}\n";
    let objects = include_str!("../data/shop.yaml").to_owned() + broken;
    let folder = Folder::new().with("shop.yaml", &objects);
    let ran = folder.run(&format!("{WEB} --desired")).exits(0);
    assert_eq!(ran.err, "");
    let other = WEB.replace("svc web", "svc other");
    let ran = folder.run(&format!("{other} --desired")).exits(1);
    assert!(
        ran.out.contains("KIV0101 error Service other: "),
        "{}",
        ran.out
    );
}

/// Each value of a policy has its origin.
#[test]
fn values_of_a_policy_have_origins() {
    let policies = "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n\
                    servicePolicies:\n- name: shop\n  selector: {matchLabels: {tier: front}}\n  \
                    policy: {scheduler: wlc, weights: {node/node1: 5}}\n";
    let web = "apiVersion: v1\nkind: Service\nmetadata:\n  name: near\n  labels: {tier: front}\n  \
               annotations: {kube-ipvs.io/scheduler: wrr, kube-ipvs.io/locality: 'node=9'}\n\
               spec:\n  clusterIPs: [10.96.7.7]\n  ports: [{port: 80}]\n";
    let folder = (Folder::new().with("near.yaml", web)).with("policies.yaml", policies);
    let args = "explain svc near -f near.yaml --node node1 --config policies.yaml --desired";
    let ran = folder.run(args);
    for line in [
        "  scheduler        wrr    annotation\n",
        "  weights          node/node1=5, default=1    servicePolicies[shop]\n",
        "  locality         node=9, zone=1, other=1    annotation\n",
        "  drainTimeout     15m0s    configuration\n",
    ] {
        assert!(
            ran.out.contains(line),
            "no line\n{line}\nin\n{}\n{}",
            ran.out,
            ran.err
        );
    }
    let object = folder.run(&format!("{args} -o json")).json();
    assert_eq!(
        object["policy"][0],
        json!({"field": "scheduler", "value": "wrr", "origin": "annotation"})
    );
}

/// Asks the daemon for the targets that fail, and compiles with them: the saved tables, with weight 0
/// for a failed endpoint, are then the desired ones. The probe has bytes that are escaped.
#[test]
fn failed_health_checks_come_from_the_daemon() {
    let check = r"type=udp, send=\x00a\x2c\\b\r\n, expect=";
    let config = format!(
        "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n\
         healthChecks: {{networks: [10.244.0.0/16]}}\n\
         servicePolicies: [{{name: checked, namespaces: [default], \
         policy: {{healthCheck: '{check}, port=9'}}}}]\n"
    );
    let page = json!({"targets": [
        {"address": "10.244.2.5", "port": 9, "state": "failed", "services": ["default/web"],
         "check": format!("{check}, interval=5s, timeout=1s, rise=2, fall=3"),
         "error": "udp: connection refused"},
        {"address": "10.244.1.5", "port": 9, "state": "healthy", "services": ["default/web"],
         "check": format!("{check}, interval=5s, timeout=1s, rise=2, fall=3")},
    ]});
    let address = serve(&[("/healthchecks", &page.to_string()), ("/drains", "[]")]);
    let weights = ["-r 10.244.2.5:8080 -m -w 1", "-r 10.244.2.5:8080 -m -w 0"];
    let folder = Folder::with_live(&SHOP_TABLES.replace(weights[0], weights[1]));
    let folder = folder.with("config.yaml", &config);
    let args = format!("{WEB} --config config.yaml --live live.txt -o json");
    let object = (folder.run(&format!("{args} --metrics-address {address}"))).json();
    assert_eq!(object["drift"], json!([]), "{object:#}");
    let text = object.to_string();
    let verdict = "health check failed: udp: connection refused";
    assert!(text.contains(verdict), "{object:#}");
    // Saved tables may be from another node, whose failures are unknown without an address.
    let object = folder.run(&args).json();
    assert_ne!(object["drift"], json!([]), "{object:#}");
    assert!(!object.to_string().contains("health check failed"));
}

/// An endpoint whose packets are not rewritten has its method, and a port that cannot have one a
/// finding.
#[test]
fn the_forwarding_method_of_an_endpoint_is_shown() {
    let policies = "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n\
                    servicePolicies: [{name: all, policy: {forwarding: {method: tunnel, type: gre}}}]\n";
    let far = "apiVersion: v1\nkind: Service\nmetadata: {name: far}\n\
               spec: {clusterIPs: [10.96.7.7], externalIPs: [203.0.113.7], ports: [{port: 8080}]}\n---\n\
               apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
               metadata: {name: far-1, labels: {kubernetes.io/service-name: far}}\naddressType: IPv4\n\
               endpoints: [{addresses: [192.0.2.9]}]\nports: [{port: 8080}]\n";
    let folder = (Folder::new().with("far.yaml", far)).with("policies.yaml", policies);
    let args = "explain svc far -f far.yaml --node node1 --config policies.yaml --desired";
    let object = folder.run(&format!("{args} -o json")).json();
    assert_eq!(object["endpoints"][0]["forwarding"], "Tunnel (gre)");
    let text = folder.run(args).out;
    let shown = "ready; Tunnel (gre) at addresses from outside";
    assert!(text.contains(shown), "{text}");
    let folder = folder.with(
        "far.yaml",
        &far.replace("ports: [{port: 8080}]}", "ports: [{port: 80}]}"),
    );
    let object = folder.run(&format!("{args} -o json")).json();
    assert_eq!(object["endpoints"][0]["forwarding"], json!(null));
    assert_eq!(object["findings"][0]["code"], "KIV0138");
}
