use serde_json::{Value, json};

use super::cases::elsewhere;
use super::compare::differences;
use super::prometheus::{queries, untested};
use super::scrape::{metrics, page};

fn config_map(name: &str, data: &Value) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": data})
}

#[test]
fn hashes_labels_and_the_form_of_a_file_do_not_differ() {
    let of_kustomize = [
        config_map(
            "kube-ipvs-8k7hf6g5c2",
            &json!({"config.yaml": "a: 1\nb: [2]\n"}),
        ),
        json!({"kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {"volumes": ["kube-ipvs-8k7hf6g5c2"]}}),
    ];
    let of_helm = [
        json!({
            "kind": "DaemonSet",
            "metadata": {"name": "d", "labels": {"helm.sh/chart": "c"}},
            "spec": {"volumes": ["kube-ipvs"]},
        }),
        config_map(
            "kube-ipvs",
            &json!({"config.yaml": "# text\nb:\n  - 2\na: 1"}),
        ),
    ];
    let found = differences(&of_kustomize, &of_helm);
    assert_eq!(found, [""; 0]);
}

#[test]
fn differences_name_the_object_and_the_path() {
    let left = [
        config_map("a", &json!({"config.yaml": "a: {b: 1}"})),
        config_map("b", &json!({})),
    ];
    let right = [
        config_map("a", &json!({"config.yaml": "a: {b: 2}"})),
        config_map("c", &json!({})),
    ];
    assert_eq!(
        differences(&left, &right),
        [
            "ConfigMap n a.data.config.yaml.a.b: kustomize has 1, Helm has 2",
            "ConfigMap n b: only of kustomize",
            "ConfigMap n c: only of Helm",
        ]
    );
    let list = |values: Value| [json!({"kind": "K", "metadata": {"name": "x"}, "list": values})];
    assert_eq!(
        differences(&list(json!([1, 2])), &list(json!([1, 3]))),
        ["K x.list[1]: kustomize has 2, Helm has 3"]
    );
    assert_eq!(
        differences(&list(json!([1])), &list(json!([1, 2]))).len(),
        1
    );
}

#[test]
fn other_namespaces() {
    let objects = [
        json!({"kind": "ClusterRole", "metadata": {"name": "r"}}),
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "subjects": [{"namespace": "m"}]}),
        json!({"kind": "ServiceAccount", "metadata": {"name": "s"}}),
        config_map("c", &json!({})),
    ];
    assert_eq!(
        elsewhere(&objects, "n"),
        [
            r#"ClusterRoleBinding: subject {"namespace":"m"}"#,
            r#"ServiceAccount "s": namespace null"#,
        ]
    );
}

#[test]
fn alerts_without_a_test() {
    let rules = json!({"spec": {"groups": [{"rules": [{"alert": "A"}, {"alert": "B"}]}]}});
    let sample = json!({"labels": "{alertname=\"A\", kind=\"x\"}", "value": 1});
    let tests =
        json!({"tests": [{"promql_expr_test": [{"exp_samples": [sample]}, {"exp_samples": []}]}]});
    assert_eq!(
        untested(&rules, &tests),
        ["no test of manifests/tests/alerts.yaml lets B fire"]
    );
}

#[test]
fn queries_of_nested_panels_have_no_variables() {
    let panel = |query: &str| json!({"targets": [{"expr": query}]});
    let dashboard = json!({"panels": [
        {"panels": [panel("rate(a{node=~\"$node\"}[$__rate_interval])")]},
        panel("b"),
    ]});
    assert_eq!(queries(&dashboard), ["rate(a{node=~\".*\"}[5m])", "b"]);
}

#[test]
fn page_of_documented_metrics() {
    let reference = "\
| name | type | labels | meaning |
|---|---|---|---|
| `a_total` | counter | `node`, `level` | text |
| `b` | gauge |  | text |
| `c_seconds` | histogram | `cause` | text |

| kube-proxy | ours |
|---|---|
| `d` | same |
";
    let lines = [
        "a_total{node=\"x\",level=\"error\"} 7",
        "b{} 1",
        "c_seconds_bucket{cause=\"x\",le=\"0.5\"} 7",
        "c_seconds_bucket{cause=\"x\",le=\"1\"} 7",
        "c_seconds_bucket{cause=\"x\",le=\"+Inf\"} 7",
        "c_seconds_sum{cause=\"x\"} 7",
        "c_seconds_count{cause=\"x\"} 7",
    ];
    let page = page(&metrics(reference), 7);
    assert_eq!(page.lines().collect::<Vec<_>>(), lines);
}
