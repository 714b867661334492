//! The patches that keep the DaemonSet kube-proxy away from nodes of the canary.

use serde_json::{Value, json};

use super::Check;
use super::render::Renderer;
use super::schemas::Schemas;
use crate::error::{Error, Result};
use crate::project::list;

/// Path of the terms of which a node must satisfy one.
const TERMS: &str = "/spec/template/spec/affinity/nodeAffinity/\
    requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

pub(super) fn checks(renderer: &Renderer, schemas: &Schemas) -> Vec<Check> {
    let eks = json!([{"matchExpressions": [
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
    ]}]);
    let cases = [
        ("kubeadm", None, "strategic", "kube-proxy.yaml", 1),
        ("eks", Some(eks), "json", "kube-proxy-eks.yaml", 3),
    ];
    let check = |(name, terms, kind, file, count): (_, _, _, _, _)| {
        let result = complaints(renderer, schemas, terms, kind, file, count);
        Check::new(format!("canary::patch_for_kube_proxy::{name}"), result)
    };
    cases.into_iter().map(check).collect()
}

/// Patches a DaemonSet with these terms, and compares the one term of the result.
fn complaints(
    renderer: &Renderer,
    schemas: &Schemas,
    terms: Option<Value>,
    kind: &str,
    file: &str,
    count: usize,
) -> Result<Vec<String>> {
    let patch = renderer.path(&format!("components/canary/{file}"));
    let patched = renderer.patch(&kube_proxy(terms), kind, &patch)?;
    let mut all = schemas.mistakes(std::slice::from_ref(&patched));
    let terms = patched.pointer(TERMS).cloned().unwrap_or_default();
    let [term] = &list(&terms).collect::<Vec<_>>()[..] else {
        return Err(Error::new(format!("not one term, but {terms}")));
    };
    let wanted = json!({"key": "kube-ipvs.io/proxy", "operator": "NotIn", "values": ["true"]});
    let expressions: Vec<&Value> = list(&term["matchExpressions"]).collect();
    if expressions.len() != count || !expressions.contains(&&wanted) {
        all.push(format!("not {count} expressions with {wanted}: {term}"));
    }
    Ok(all)
}

/// Returns a DaemonSet like that of kube-proxy.
fn kube_proxy(terms: Option<Value>) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": "kube-proxy"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "kube-proxy"}},
                "spec": {
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "containers": [{"name": "kube-proxy", "image": "kube-proxy"}],
                },
            },
        },
    });
    if let Some(terms) = terms {
        object["spec"]["template"]["spec"]["affinity"] = json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
        }});
    }
    object
}
