//! `ipvsctl explain`. The texts are in the transcript `reports/explain`.

use crate::folder::{Folder, SHOP_TABLES};
use serde_json::json;
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
