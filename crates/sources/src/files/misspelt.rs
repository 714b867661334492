//! Kinds and fields that look misspelt.

use serde_json::Value;
use strsim::levenshtein as distance;

use crate::virtual_server;
use crate::yaml::Step;

/// Supported kinds with their API versions and the maximum number of different letters in a
/// misspelt name. `Pod` and `Role` differ from `Node` by two letters.
const KINDS: [(&str, &[&str], usize); 5] = [
    (virtual_server::KIND, &[virtual_server::API_VERSION], 2),
    ("Service", &["v1"], 2),
    (
        "EndpointSlice",
        &["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"],
        2,
    ),
    ("Endpoints", &["v1"], 2),
    ("Node", &["v1"], 1),
];

/// Returns a warning about an object of another kind if its kind or API version looks like a
/// misspelt supported one. Other kinds are common in manifests and cause no warning.
pub(super) fn about_kind(api_version: &str, kind: &str) -> Option<String> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let groups = ["discovery.k8s.io", "kube-ipvs.io"];
    if group.contains('.') && groups.iter().all(|known| distance(group, known) > 2) {
        // Other API groups have their own `Service` and `Node`.
        return None;
    }
    let (name, versions, _) =
        (KINDS.iter()).find(|(name, _, most)| distance(kind, name) <= *most)?;
    let versions = versions.join(" or ");
    Some(match (kind == *name, api_version) {
        (false, _) => format!("unknown kind `{kind}` (did you mean {name}?)"),
        (true, "") => format!("apiVersion is missing, expected {versions}"),
        (true, _) => format!("unknown apiVersion `{api_version}`, expected {versions}"),
    })
}

/// Allowed fields of an object. The shape of a list is that of its items.
enum Shape {
    /// Any value; it is not checked.
    Any,
    /// An object with these fields.
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Fields};

const METADATA: Shape = Fields(&[
    ("annotations", Any),
    ("clusterName", Any),
    ("creationTimestamp", Any),
    ("deletionGracePeriodSeconds", Any),
    ("deletionTimestamp", Any),
    ("finalizers", Any),
    ("generateName", Any),
    ("generation", Any),
    ("labels", Any),
    ("managedFields", Any),
    ("name", Any),
    ("namespace", Any),
    ("ownerReferences", Any),
    ("resourceVersion", Any),
    ("selfLink", Any),
    ("uid", Any),
]);

const SERVICE: Shape = Fields(&[
    ("apiVersion", Any),
    ("kind", Any),
    ("metadata", METADATA),
    (
        "spec",
        Fields(&[
            ("allocateLoadBalancerNodePorts", Any),
            ("clusterIP", Any),
            ("clusterIPs", Any),
            ("externalIPs", Any),
            ("externalName", Any),
            ("externalTrafficPolicy", Any),
            ("healthCheckNodePort", Any),
            ("internalTrafficPolicy", Any),
            ("ipFamilies", Any),
            ("ipFamily", Any),
            ("ipFamilyPolicy", Any),
            ("loadBalancerClass", Any),
            ("loadBalancerIP", Any),
            ("loadBalancerSourceRanges", Any),
            (
                "ports",
                Fields(&[
                    ("appProtocol", Any),
                    ("name", Any),
                    ("nodePort", Any),
                    ("port", Any),
                    ("protocol", Any),
                    ("targetPort", Any),
                ]),
            ),
            ("publishNotReadyAddresses", Any),
            ("selector", Any),
            ("sessionAffinity", Any),
            (
                "sessionAffinityConfig",
                Fields(&[("clientIP", Fields(&[("timeoutSeconds", Any)]))]),
            ),
            ("topologyKeys", Any),
            ("trafficDistribution", Any),
            ("type", Any),
        ]),
    ),
    (
        "status",
        Fields(&[
            ("conditions", Any),
            (
                "loadBalancer",
                Fields(&[(
                    "ingress",
                    Fields(&[
                        ("hostname", Any),
                        ("ip", Any),
                        ("ipMode", Any),
                        ("ports", Any),
                    ]),
                )]),
            ),
        ]),
    ),
]);

const SLICE: Shape = Fields(&[
    ("addressType", Any),
    ("apiVersion", Any),
    (
        "endpoints",
        Fields(&[
            ("addresses", Any),
            (
                "conditions",
                Fields(&[("ready", Any), ("serving", Any), ("terminating", Any)]),
            ),
            ("deprecatedTopology", Any),
            ("hints", Fields(&[("forNodes", Any), ("forZones", Any)])),
            ("hostname", Any),
            ("nodeName", Any),
            ("targetRef", Any),
            ("topology", Any),
            ("zone", Any),
        ]),
    ),
    ("kind", Any),
    ("metadata", METADATA),
    ("ports", PORT),
]);

const PORT: Shape = Fields(&[
    ("appProtocol", Any),
    ("name", Any),
    ("port", Any),
    ("protocol", Any),
]);

const ADDRESS: Shape = Fields(&[
    ("hostname", Any),
    ("ip", Any),
    ("nodeName", Any),
    ("targetRef", Any),
]);

const ENDPOINTS: Shape = Fields(&[
    ("apiVersion", Any),
    ("kind", Any),
    ("metadata", METADATA),
    (
        "subsets",
        Fields(&[
            ("addresses", ADDRESS),
            ("notReadyAddresses", ADDRESS),
            ("ports", PORT),
        ]),
    ),
]);

const NODE: Shape = Fields(&[
    ("apiVersion", Any),
    ("kind", Any),
    ("metadata", METADATA),
    ("spec", Any),
    ("status", Any),
]);

const VIRTUAL_SERVER: Shape = Fields(&[
    ("apiVersion", Any),
    ("kind", Any),
    ("metadata", Any),
    (
        "spec",
        Fields(&[
            ("address", Any),
            ("bind", Any),
            ("connectionLimits", Any),
            ("drainTimeout", Any),
            ("family", Any),
            ("forwarding", Any),
            ("fwmark", Any),
            ("healthCheck", Any),
            ("masqueradeSource", Any),
            ("onePacket", Any),
            (
                "persistence",
                Fields(&[
                    ("engine", Any),
                    ("prefixLength", Any),
                    ("timeoutSeconds", Any),
                ]),
            ),
            ("port", Any),
            ("protocol", Any),
            (
                "realServers",
                Fields(&[
                    ("address", Any),
                    ("forwarding", Any),
                    ("lowerThreshold", Any),
                    ("port", Any),
                    ("tunnel", TUNNEL),
                    ("upperThreshold", Any),
                    ("weight", Any),
                ]),
            ),
            ("scheduler", Any),
            ("schedulerFlags", Any),
            ("tunnel", TUNNEL),
            ("udpDrainTimeout", Any),
        ]),
    ),
]);

const TUNNEL: Shape = Fields(&[("checksum", Any), ("port", Any), ("type", Any)]);

/// A field that a kind does not have.
pub(super) struct UnknownField {
    pub(super) path: Vec<Step>,
    /// The field that was probably meant.
    meant: Option<&'static str>,
}

impl UnknownField {
    /// Returns the path, such as `spec.ports[0].nodeport`.
    pub(super) fn text(&self) -> String {
        text_of(&self.path)
    }

    /// Returns ` (did you mean nodePort?)`, or nothing.
    pub(super) fn hint(&self) -> String {
        let hint = |meant| format!(" (did you mean {meant}?)");
        self.meant.map(hint).unwrap_or_default()
    }
}

/// Returns a path as text, such as `spec.ports[0].port`.
pub(super) fn text_of(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(name) if text.is_empty() => text.push_str(name),
            Step::Key(name) => text.extend([".", name]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Returns the first field of a supported object that its kind does not have: Kubernetes 1.36 for
/// its own kinds.
pub(super) fn unknown_field(kind: &str, value: &Value) -> Option<UnknownField> {
    let shape = match kind {
        "Service" => &SERVICE,
        "EndpointSlice" => &SLICE,
        "Endpoints" => &ENDPOINTS,
        virtual_server::KIND => &VIRTUAL_SERVER,
        _ => &NODE,
    };
    let mut found = unknown(shape, value)?;
    found.path.reverse();
    Some(found)
}

/// Returns the first unknown field of `value`, with the path from the field to the object.
fn unknown(shape: &'static Shape, value: &Value) -> Option<UnknownField> {
    let Fields(known) = shape else {
        return None;
    };
    let (mut found, step) = match value {
        Value::Array(items) => (items.iter().enumerate())
            .find_map(|(index, item)| Some((unknown(shape, item)?, Step::Index(index))))?,
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let step = Step::Key(name.clone());
            match known.iter().find(|(field, _)| field == name) {
                Some((_, shape)) => Some((unknown(shape, value)?, step)),
                None => {
                    let found = UnknownField {
                        path: Vec::new(),
                        meant: meant(known, name),
                    };
                    Some((found, step))
                }
            }
        })?,
        _ => return None,
    };
    found.path.push(step);
    Some(found)
}

/// Returns the known field whose name differs from `name` by at most two letters and by case.
fn meant(known: &[(&'static str, Shape)], name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let most = 2.min(name.chars().count() / 2);
    (known.iter())
        .map(|(field, _)| (distance(&name, &field.to_lowercase()), *field))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, field)| field)
}
