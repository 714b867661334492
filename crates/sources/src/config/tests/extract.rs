//! A configuration among other things.

use super::*;

const MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-proxy, namespace: kube-system}\n";
const INNER: &str = "kind: KubeProxyConfiguration\n    ipvs: {scheduler: lc}\n";

/// Checks that the scheduler `lc` of the one configuration holds, and its place.
#[track_caller]
fn check_found(text: &str, place: &str) {
    let resolved = resolved(text);
    assert_eq!(&*resolved.node.scheduler.0, "lc");
    assert_eq!(resolved.taken_from.as_deref(), Some(place));
    assert_eq!(resolved.warnings, []);
}

#[test]
fn documents_of_kubeadm() {
    let others =
        "kind: InitConfiguration\nnodeRegistration: {name: a}\n---\nkind: ClusterConfiguration\n";
    let ours = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nipvs: {scheduler: lc}\n";
    check_found(
        &format!("{others}---\n{ours}"),
        "KubeProxyConfiguration of document 3",
    );
    check_found(
        &format!("---\n{ours}---\n{others}"),
        "KubeProxyConfiguration of document 1",
    );
    check_found(
        &format!("{others}---\nkind: KubeIpvsConfiguration\nipvs: {{scheduler: lc}}\n"),
        "KubeIpvsConfiguration of document 3",
    );
}

#[test]
fn config_maps() {
    for key in ["config.conf", "config", "config.yaml"] {
        let place = format!("data[{key:?}] of ConfigMap kube-system/kube-proxy");
        check_found(
            &format!(
                "{MAP}data:\n  kubeconfig.conf: 'kind: Config'\n  notes: '}}{{'\n  {key}: |-\n    {INNER}"
            ),
            &place,
        );
        let json = json(r#"{"kind":"KubeProxyConfiguration","ipvs":{"scheduler":"lc"}}"#);
        check_found(&format!("{MAP}data: {{{key}: {json}}}"), &place);
    }
    check_found(
        &format!(
            "apiVersion: v1\nkind: List\nitems:\n- kind: Secret\n- kind: ConfigMap\n  data:\n    config: |\n      {}",
            INNER.replace("    ", "      ")
        ),
        "data[\"config\"] of ConfigMap item 1",
    );
}

fn json(text: &str) -> String {
    Value::from(text).to_string()
}

#[test]
fn a_single_document_needs_no_place() {
    let resolved = resolved("kind: KubeProxyConfiguration\n---\n# nothing\n");
    assert_eq!(resolved.taken_from, None);
}

#[test]
fn two_configurations_and_none() {
    check(
        "kind: KubeProxyConfiguration\n---\nkind: A\n---\nkind: KubeIpvsConfiguration\n",
        &[
            "error: c.yaml: one configuration is wanted, not KubeProxyConfiguration of document 1 and KubeIpvsConfiguration of document 3",
        ],
    );
    check(
        &format!("{MAP}data:\n  a: |\n    {INNER}  b: |\n    {INNER}"),
        &[
            "error: c.yaml: one configuration is wanted, not data[\"a\"] of ConfigMap kube-system/kube-proxy and data[\"b\"] of ConfigMap \
             kube-system/kube-proxy",
        ],
    );
    let none = "error: c.yaml: holds no KubeProxyConfiguration and no KubeIpvsConfiguration, but";
    check(
        &format!("{MAP}data: {{a: x}}"),
        &[&format!("{none} ConfigMap kube-system/kube-proxy")],
    );
    check(
        "kind: ClusterConfiguration\n---\na: 1\n---\n[]\n",
        &[&format!(
            "{none} ClusterConfiguration, a mapping without a kind, a list"
        )],
    );
}

#[test]
fn a_mistake_inside_a_config_map_has_a_place() {
    let errors = resolve(&format!(
        "{MAP}data:\n  config.conf: |\n    kind: KubeProxyConfiguration\n    ipvs: [\n"
    ));
    let errors = errors.expect_err("a mistake").to_string();
    assert!(
        errors.starts_with("c.yaml: data[\"config.conf\"]:2:"),
        "{errors}"
    );
    check(
        &format!("{MAP}data:\n  config.conf: |\n    {INNER}    mode: ipvs\n    mode: ipvs\n"),
        &[
            "warning: c.yaml: data[\"config.conf\"]:4:1: a key is given twice in one mapping, the last one counts",
        ],
    );
}
