use std::path::Path;

use sources::NodeOverrides;

use super::{Given, check, documents};

/// Reads the project's own manifests.
fn given() -> Given {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Given::read(&root).expect("the project")
}

/// Returns the additional complaints after replacing `from` by `to` in a file of `manifests/`.
fn broken(path: &str, from: &str, to: &str) -> Vec<String> {
    let mut given = given();
    let text = given.files.get_mut(path).expect("the file");
    assert!(text.contains(from), "{path} has no {from}");
    *text = text.replacen(from, to, 1);
    given.documents = documents(&given.files).expect("it can be read");
    more(&given)
}

/// Returns the complaints that the project's own manifests do not have.
fn more(given: &Given) -> Vec<String> {
    let before = check(&self::given());
    let mut said = check(given);
    said.retain(|said| !before.contains(said));
    said
}

const DAEMON_SET: &str = "base/daemonset.yaml";
const RULES: &str = "components/monitoring/rules.yaml";

#[test]
fn manifests_have_no_complaints() {
    assert_eq!(check(&given()), [""; 0]);
}

#[test]
fn daemon_accepts_the_configuration() {
    let given = given();
    let files = given
        .files
        .iter()
        .filter(|(path, _)| path.ends_with("/config.yaml"));
    let mut count = 0;
    for (path, text) in files {
        let document = sources::config::parse(path, text).expect("YAML");
        let resolved = document.resolve(&NodeOverrides::default(), "node");
        let resolved = resolved.expect("a configuration");
        assert_eq!(resolved.warnings, [], "{path}");
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn kube_proxy_job_patches_the_monitors_list() {
    let given = given();
    let of = |path: &str| &given.documents[path][0];
    let patch = &of("components/kube-proxy-job/relabeling.yaml")[0];
    let (list, end) = patch["path"]
        .as_str()
        .expect("a path")
        .rsplit_once('/')
        .expect("a path");
    let monitor = of("components/monitoring/podmonitor.yaml");
    assert!(
        monitor
            .pointer(list)
            .is_some_and(serde_json::Value::is_array),
        "{list}"
    );
    assert_eq!((end, &patch["op"]), ("-", &"add".into()));
    let value = serde_json::json!({"targetLabel": "job", "replacement": "kube-proxy"});
    assert_eq!(patch["value"], value);
}

/// A change of a file of `manifests/`: the file, its text, the replacement, and the complaint.
type Change = (&'static str, &'static str, &'static str, &'static str);

const CHANGES: &[Change] = &[
    (
        "components/monitoring/kustomization.yaml",
        "  - rules.yaml\n",
        "  - rules.yaml\n  - alerts.yaml\n",
        "manifests/components/monitoring/kustomization.yaml names alerts.yaml, which is not there",
    ),
    (
        "overlays/kube-proxy-config/kustomization.yaml",
        "../../base",
        "../base",
        "manifests/overlays/kube-proxy-config/kustomization.yaml names ../base, which is not there",
    ),
    (
        "base/kustomization.yaml",
        "  - rbac.yaml\n",
        "",
        "manifests/base/rbac.yaml is named by no kustomization",
    ),
    (
        "components/monitoring/kustomization.yaml",
        "kube-ipvs.json=dashboard.json",
        "kube-ipvs.json=rules.yaml",
        "manifests/components/monitoring/dashboard.json is named by no kustomization",
    ),
    (
        "base/rbac.yaml",
        "resources: [endpointslices]\n    verbs: [list, watch]",
        "resources: [endpointslices]\n    verbs: [list, watch, delete]",
        "manifests: the ClusterRole allows to delete endpointslices.discovery.k8s.io, which the code does not",
    ),
    (
        DAEMON_SET,
        "--no-modprobe",
        "--no-modprobes",
        "manifests/base/daemonset.yaml: kube-ipvsd has no argument --no-modprobes",
    ),
    (
        DAEMON_SET,
        "--config=/etc/kube-ipvs/config.yaml",
        "--config=/etc/config.yaml",
        "manifests/base/daemonset.yaml: no volume is mounted at /etc for --config=/etc/config.yaml",
    ),
    (
        DAEMON_SET,
        "containerPort: 10249",
        "containerPort: 10248",
        "manifests/base/daemonset.yaml: the port metrics is Some(10248), and metricsBindAddress has Some(10249)",
    ),
    (
        DAEMON_SET,
        "add: [NET_ADMIN, NET_RAW]",
        "add: [NET_ADMIN, NET_RAW, SYS_ADMIN]",
        "manifests/base/daemonset.yaml: the daemon's capabilities are \
         {\"NET_ADMIN\", \"NET_RAW\", \"SYS_ADMIN\"}, not {\"NET_ADMIN\", \"NET_RAW\"}",
    ),
    (
        DAEMON_SET,
        "              drop: [ALL]\n",
        "",
        "manifests/base/daemonset.yaml: the daemon keeps capabilities that it does not need",
    ),
    (
        "components/monitoring/podmonitor.yaml",
        "port: metrics",
        "port: healthz",
        "manifests/components/monitoring/podmonitor.yaml: no metrics are at the port \"healthz\"",
    ),
    (
        "components/monitoring/podmonitor.yaml",
        "app.kubernetes.io/name: kube-ipvs",
        "app: kube-ipvs",
        "manifests/components/monitoring/podmonitor.yaml: no pods have the labels of its selector",
    ),
    (
        RULES,
        "up{container=",
        "up{job=",
        "manifests/components/monitoring/rules.yaml: no metric has the label job in `absent(up{job=\"kube-ipvs\"})`",
    ),
    (
        "base/config.yaml",
        "  scheduler: rr",
        "  schedule: rr",
        "manifests/base/config.yaml: the configuration has no field ipvs.schedule",
    ),
    (
        RULES,
        "(kubeipvs_audit_age_seconds > 1800)",
        "(kubeipvs_audit_age > 1800)",
        "manifests/components/monitoring/rules.yaml: no metric is called kubeipvs_audit_age in \
         `count by (cluster) (kubeipvs_audit_age > 1800) > 0`",
    ),
    (
        RULES,
        "(5, kubeipvs_audit_age_seconds",
        "(5, kubeipvs_audit_age",
        "manifests/components/monitoring/rules.yaml: KubeIpvsNotCompared: no metric is called kubeipvs_audit_age",
    ),
    (
        RULES,
        "runbooks/KubeIpvsDown.md",
        "runbooks/KubeIpvsUp.md",
        "manifests/components/monitoring/rules.yaml: the runbook_url of KubeIpvsDown is \
         \"https://github.com/kube-ipvs/kube-ipvs/blob/main/docs/runbooks/KubeIpvsUp.md\", not \
         https://github.com/kube-ipvs/kube-ipvs/blob/main/docs/runbooks/KubeIpvsDown.md",
    ),
    (
        RULES,
        "            severity: critical\n",
        "            urgency: critical\n",
        "manifests/components/monitoring/rules.yaml: KubeIpvsAbsent has no /labels/severity",
    ),
    (
        "components/monitoring/metrics-address.yaml",
        "--metrics-bind-address",
        "--metrics-address",
        "manifests/components/monitoring/metrics-address.yaml: kube-ipvsd has no argument \
         --metrics-address=0.0.0.0:10249",
    ),
    (
        "helm/kube-ipvs/Chart.yaml",
        concat!("appVersion: \"", env!("CARGO_PKG_VERSION")),
        "appVersion: \"9",
        concat!(
            "manifests/helm/kube-ipvs/Chart.yaml: appVersion is \"9\", not ",
            env!("CARGO_PKG_VERSION")
        ),
    ),
    (
        "base/rbac.yaml",
        "[create, patch]\n",
        "[create]\n",
        "manifests: the ClusterRole does not allow to patch events.events.k8s.io, which the code does",
    ),
    (
        DAEMON_SET,
        concat!("kube-ipvs:", env!("CARGO_PKG_VERSION")),
        "kube-ipvs:latest",
        concat!(
            "manifests/base/daemonset.yaml: the image is ghcr.io/kube-ipvs/kube-ipvs:latest, not \
             ghcr.io/kube-ipvs/kube-ipvs:",
            env!("CARGO_PKG_VERSION")
        ),
    ),
];

#[test]
fn each_change_causes_exactly_its_complaint() {
    for (path, from, to, complaint) in CHANGES {
        assert_eq!(
            broken(path, from, to),
            [*complaint],
            "{path}: {from} -> {to}"
        );
    }
}

#[test]
fn unit_with_unknown_arguments_and_rights() {
    for (path, from, to, complaint) in [
        (
            "systemd/kube-ipvsd.service",
            "--no-modprobe",
            "--no-modules",
            "manifests/systemd/kube-ipvsd.service: kube-ipvsd has no argument --no-modules",
        ),
        (
            "systemd/kube-ipvsd.default",
            "--kubeconfig",
            "--kubeconf",
            "manifests/systemd/kube-ipvsd.service: kube-ipvsd has no argument --kubeconf",
        ),
        (
            "systemd/kube-ipvsd.service",
            " CAP_NET_RAW\n",
            "\n",
            "manifests/systemd/kube-ipvsd.service: the capabilities are {\"NET_ADMIN\"}, not \
             {\"NET_ADMIN\", \"NET_RAW\"}",
        ),
    ] {
        assert_eq!(broken(path, from, to), [complaint], "{path}: {from}");
    }
}

#[test]
fn unknown_metric_in_a_test_of_the_alerts() {
    let said = broken("tests/alerts.yaml", "kubeipvs_ready{", "kubeipvs_unready{");
    assert_eq!(
        said,
        [
            "manifests/tests/alerts.yaml: no metric is called kubeipvs_unready in \
          `kubeipvs_unready{container=\"kube-ipvs\",node=\"a\"}`"
        ]
    );
}

#[test]
fn label_that_a_query_makes() {
    let path = "components/monitoring/dashboard.json";
    let said = broken(
        path,
        "by (cluster, node, reason)",
        "by (cluster, node, why)",
    );
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("no metric has the label why"), "{said:?}");
}

#[test]
fn complaints_name_the_probe_the_metric_or_the_label() {
    for (path, from, to, part) in [
        (
            DAEMON_SET,
            "path: /livez",
            "path: /live",
            "the livenessProbe asks for",
        ),
        (
            DAEMON_SET,
            "path: /readyz",
            "path: /healthz",
            "the readinessProbe asks for",
        ),
        (
            "components/monitoring/dashboard.json",
            "kubeipvs_observe_failures_total",
            "kubeipvs_failures_total",
            "no metric is called kubeipvs_failures_total",
        ),
        // A histogram's name needs a suffix.
        (
            RULES,
            "duration_seconds_bucket",
            "duration_seconds",
            "no metric is called kubeproxy_network_programming_duration_seconds in",
        ),
        (
            RULES,
            "by (cluster, code)",
            "by (cluster, errno)",
            "no metric has the label errno",
        ),
        (
            RULES,
            "[30m]) > 0 and kubeipvs_findings{level=",
            "[30m]) > 0 and kubeipvs_findings{severity=",
            "no metric has the label severity",
        ),
    ] {
        let said = broken(path, from, to);
        assert_eq!(said.len(), 1, "{path}: {from} -> {to}");
        assert!(said[0].contains(part), "{said:?}");
    }
}

#[test]
fn new_watched_resource() {
    let mut given = given();
    let text = "const PLURAL: &'static str = \"pods\"; fn all() { Api::<Pod>::all() }";
    given
        .sources
        .insert("node/src/pods.rs".to_owned(), text.to_owned());
    assert_eq!(
        more(&given),
        [
            "crates/node/src/pods.rs watches pods, which has no API group in xtask/src/tidy/manifests/rights.rs",
            "crates/node/src/pods.rs asks the API server outside of crates/sources/src/kube: \
             xtask/src/tidy/manifests/rights.rs must know for what",
        ]
    );
    given.sources.clear();
    assert!(
        check(&given)
            .iter()
            .any(|said| said.ends_with("allows to watch services, which the code does not"))
    );
}
