//! Reads one object of a file.

use model::{Object, SafeText};
use serde_json::Value;

use super::converted::{Converted, ConvertedKey};
use super::error::FileErrorKind;
use super::misspelt;
use crate::objects::{self, Kubernetes};
use crate::pods::PodAddresses;
use crate::virtual_server::{self, Manifest};
use crate::yaml::{Step, steps};
use crate::{convert, filter};

fn converted(object: Object) -> Converted {
    Converted::Object(Box::new(object))
}

pub(super) enum Outcome {
    Object(ConvertedKey, Converted),
    /// An object of another kind.
    OtherKind,
    /// An object that the label selector excludes.
    NotSelected,
    Mistake {
        steps: Vec<Step>,
        kind: FileErrorKind,
    },
}

/// Returns a warning about a misspelt kind, API version or field.
pub(super) fn doubt(api_version: &str, kind: &str, value: &Value) -> Option<FileErrorKind> {
    if is_virtual_server(api_version, kind) {
        // An unknown field is an error, and `virtual_server` reports it.
        return None;
    }
    if is_ours(api_version, kind) {
        let unknown = misspelt::unknown_field(kind, value)?;
        return Some(FileErrorKind::UnknownField {
            object: describe(kind, value).into(),
            path: unknown.text().into(),
            hint: unknown.hint(),
        });
    }
    let what = misspelt::about_kind(api_version, kind)?.into();
    let object = describe(kind, value).into();
    Some(FileErrorKind::Misspelt { object, what })
}

fn is_ours(api_version: &str, kind: &str) -> bool {
    match kind {
        "Service" | "Endpoints" | "Node" => api_version == "v1",
        "EndpointSlice" => matches!(api_version, "discovery.k8s.io/v1" | BETA),
        _ => false,
    }
}

fn is_virtual_server(api_version: &str, kind: &str) -> bool {
    (api_version, kind) == (virtual_server::API_VERSION, virtual_server::KIND)
}

/// API version of slices up to Kubernetes 1.24.
const BETA: &str = "discovery.k8s.io/v1beta1";

/// Converts a slice of [`BETA`] to v1: an endpoint may have its node's name only in `topology`
/// (`Convert_v1beta1_Endpoint_To_discovery_Endpoint`, pkg/apis/discovery/v1beta1/conversion.go,
/// Kubernetes 1.24). The zone in `topology` is ignored, since endpoints' zones are not used.
fn from_beta(mut value: Value) -> Value {
    let endpoints = value.get_mut("endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten() {
        let Some(fields) = endpoint.as_object_mut() else {
            continue;
        };
        let Some(topology) = fields.remove("topology") else {
            continue;
        };
        if let Some(node) = topology.get("kubernetes.io/hostname") {
            (fields.entry("nodeName")).or_insert_with(|| node.clone());
        }
    }
    value
}

/// Reads `value`. Adds its pods to `pods`, whether it is selected or not.
pub(super) fn read(
    api_version: &str,
    kind: &str,
    value: Value,
    pods: Option<&mut PodAddresses>,
) -> Outcome {
    match (api_version, kind) {
        _ if is_virtual_server(api_version, kind) => static_server(value),
        (BETA, "EndpointSlice") => read("discovery.k8s.io/v1", kind, from_beta(value), pods),
        ("v1", "Service") => decode("Service", value, pods, |object: &objects::Service| {
            let service = convert::service(object);
            if service.cluster_ips.is_empty() && needs_cluster_ip(object) {
                tracing::warn!(service = %service.name, "the Service has no clusterIP and is not served: set spec.clusterIP, which an API server would assign");
            }
            converted(Object::Service(service))
        }),
        ("v1", "Endpoints") => decode("Endpoints", value, pods, |object: &objects::Endpoints| {
            Converted::Endpoints(convert::endpoints(object))
        }),
        ("v1", "Node") => decode("Node", value, pods, |object: &objects::Node| {
            converted(Object::Node(convert::node(object)))
        }),
        ("discovery.k8s.io/v1", "EndpointSlice") => decode(
            "EndpointSlice",
            value,
            pods,
            |object: &objects::EndpointSlice| {
                converted(Object::EndpointSlice(convert::slice(object)))
            },
        ),
        _ => Outcome::OtherKind,
    }
}

/// Returns true if an API server would assign an address to this Service.
fn needs_cluster_ip(service: &objects::Service) -> bool {
    let spec = &service.spec;
    spec.cluster_ip.as_deref() != Some("None")
        && (spec.cluster_ips.iter().flatten()).all(|text| text != "None")
        && spec.type_.as_deref() != Some("ExternalName")
}

fn decode<K>(
    kind: &'static str,
    value: Value,
    pods: Option<&mut PodAddresses>,
    convert: impl Fn(&K) -> Converted,
) -> Outcome
where
    K: Kubernetes,
{
    let name = describe(kind, &value);
    let object: K = match serde_path_to_error::deserialize(value) {
        Ok(object) => object,
        Err(error) => {
            return Outcome::Mistake {
                steps: steps(error.path()),
                kind: FileErrorKind::Object {
                    object: name.into(),
                    path: error.path().to_string().into(),
                    what: error.inner().to_string().into(),
                },
            };
        }
    };
    let meta = object.metadata();
    if meta.name.as_deref().unwrap_or_default().is_empty() {
        return Outcome::Mistake {
            steps: vec![Step::Key("metadata".to_owned())],
            kind: FileErrorKind::NoObject(format!("{kind} without metadata.name")),
        };
    }
    if let Some(pods) = pods {
        pods.add(&object);
    }
    let selected = match kind {
        "Service" => filter::is_service(meta),
        "Node" => true,
        _ => filter::is_slice(meta),
    };
    if !selected {
        return Outcome::NotSelected;
    }
    let name = match kind {
        "Node" => meta.node_name(),
        _ => meta.object_name(),
    };
    Outcome::Object(ConvertedKey { kind, name }, convert(&object))
}

/// Reads a VirtualServer. Unlike objects of Kubernetes, which newer versions may extend, it is
/// ignored if it has an unknown field: an entry without a misspelt setting could send traffic to
/// the wrong place.
fn static_server(value: Value) -> Outcome {
    let object: SafeText = describe(virtual_server::KIND, &value).into();
    let mistake = |steps: Vec<Step>, what: String| Outcome::Mistake {
        kind: FileErrorKind::Object {
            object: object.clone(),
            path: misspelt::text_of(&steps).into(),
            what: what.into(),
        },
        steps,
    };
    if let Some(unknown) = misspelt::unknown_field(virtual_server::KIND, &value) {
        let what = format!("unknown field{}", unknown.hint());
        return mistake(unknown.path, what);
    }
    let manifest: Manifest = match serde_path_to_error::deserialize(value) {
        Ok(manifest) => manifest,
        Err(error) => return mistake(steps(error.path()), error.inner().to_string()),
    };
    match virtual_server::decode(&manifest) {
        Ok(server) => {
            let key = ConvertedKey {
                kind: virtual_server::KIND,
                name: server.name.clone(),
            };
            Outcome::Object(key, converted(Object::VirtualServer(server)))
        }
        Err(error) => mistake(error.path, error.problem),
    }
}

fn describe(kind: &str, value: &Value) -> String {
    let text = |key| value["metadata"][key].as_str();
    match (text("namespace"), text("name")) {
        (_, None) => format!("a {kind} without a name"),
        (None, Some(name)) if kind == "Node" => format!("{kind} {name}"),
        (namespace, Some(name)) => format!("{kind} {}/{name}", namespace.unwrap_or("default")),
    }
}
