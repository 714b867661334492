//! Objects as the controllers of a cluster write them, including fields that daemons do not read,
//! since their bytes are measured.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// First address of changed endpoints. The offset is the number of the change.
const CHANGED: u32 = 0x0A80_0000;
/// First address of initial endpoints.
const ENDPOINTS: u32 = 0x0A00_0000;
/// First cluster IP.
const CLUSTER_IPS: u32 = 0xAC14_0000;

const CREATED: &str = "2026-11-24T00:00:00Z";

/// Returns the number of the change that wrote this endpoint, if there is one.
pub(crate) fn change_of(address: Ipv4Addr) -> Option<usize> {
    let number = u32::from(address).checked_sub(CHANGED)?;
    (number < 1 << 23).then_some(number as usize)
}

/// Returns Service number `at`.
pub(crate) fn service(at: usize) -> Value {
    let address = address(CLUSTER_IPS, at);
    let fields = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app.kubernetes.io/instance": {}, "f:app.kubernetes.io/name": {},
            "f:app.kubernetes.io/managed-by": {}}},
        "f:spec": {"f:internalTrafficPolicy": {}, "f:ports": {".": {},
            "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {},
                "f:targetPort": {}}}, "f:selector": {}, "f:sessionAffinity": {}, "f:type": {}},
    });
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": service_name(at), "namespace": namespace(at), "uid": uid(1, at), "creationTimestamp": CREATED,
            "labels": labels(at), "managedFields": [managed("helm", "Update", "v1", &fields)],
        },
        "spec": {
            "clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
            "selector": {"app.kubernetes.io/instance": service_name(at), "app.kubernetes.io/name": "web"},
            "sessionAffinity": "None", "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    })
}

/// Returns the EndpointSlice of Service number `at`. With `change` its first endpoint is that of
/// the change.
pub(crate) fn slice(at: usize, endpoints: usize, change: Option<usize>) -> Value {
    let all: Vec<Value> = (0..endpoints)
        .map(|each| {
            let number = at * endpoints + each;
            let at_address = match change {
                Some(change) if each == 0 => address(CHANGED, change),
                _ => address(ENDPOINTS, number),
            };
            json!({
                "addresses": [at_address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": node_name(number % 5000),
                "targetRef": {"kind": "Pod", "name": format!("{}-6d4cf56db6-{each:05}", service_name(at)),
                    "namespace": namespace(at), "uid": uid(2, number)},
                "zone": format!("europe-west1-{}", ["b", "c", "d"][number % 3]),
            })
        })
        .collect();
    let fields = json!({
        "f:addressType": {}, "f:endpoints": {},
        "f:metadata": {"f:annotations": {".": {}, "f:endpoints.kubernetes.io/last-change-trigger-time": {}},
            "f:generateName": {}, "f:labels": {".": {}, "f:app.kubernetes.io/instance": {},
                "f:app.kubernetes.io/managed-by": {}, "f:app.kubernetes.io/name": {},
                "f:endpointslice.kubernetes.io/managed-by": {}, "f:kubernetes.io/service-name": {}},
            "f:ownerReferences": {".": {}, format!("k:{{\"uid\":\"{}\"}}", uid(1, at)): {}}},
        "f:ports": {},
    });
    let mut labels = labels(at);
    labels["endpointslice.kubernetes.io/managed-by"] = json!("endpointslice-controller.k8s.io");
    labels["kubernetes.io/service-name"] = json!(service_name(at));
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{}-x7k2p", service_name(at)), "generateName": format!("{}-", service_name(at)),
            "namespace": namespace(at), "uid": uid(3, at), "creationTimestamp": CREATED, "generation": change.unwrap_or(1),
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": CREATED}, "labels": labels,
            "ownerReferences": [{"apiVersion": "v1", "blockOwnerDeletion": true, "controller": true, "kind": "Service",
                "name": service_name(at), "uid": uid(1, at)}],
            "managedFields": [managed("kube-controller-manager", "Update", "discovery.k8s.io/v1", &fields)],
        },
        "endpoints": all,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

/// Returns Node number `at`, with the 50 images that a kubelet reports by default.
pub(crate) fn node(at: usize, heartbeat: u64) -> Value {
    let images: Vec<Value> = (0..50)
        .map(|image| {
            let name = format!("registry.example.com/platform/component-{image}");
            json!({"names": [format!("{name}@sha256:{:064x}", image + 1), format!("{name}:v1.{image}.0")],
                "sizeBytes": 100_000_000 + image})
        })
        .collect();
    let kinds = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
    let condition = |kind: &str| {
        let reason = format!("Kubelet{kind}");
        json!({"type": kind, "status": "False", "lastHeartbeatTime": format!("2026-11-24T00:{:02}:{:02}Z",
                heartbeat / 60 % 60, heartbeat % 60), "lastTransitionTime": CREATED, "reason": reason,
            "message": "kubelet has sufficient resources available"})
    };
    let resources = json!({"cpu": "16", "ephemeral-storage": "98831908Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": "65840020Ki", "pods": "110"});
    let mut conditions = serde_json::Map::new();
    for kind in kinds {
        let key = format!("k:{{\"type\":\"{kind}\"}}");
        let all = json!({".": {}, "f:lastHeartbeatTime": {}, "f:lastTransitionTime": {}, "f:message": {}, "f:reason": {},
            "f:status": {}, "f:type": {}});
        conditions.insert(key, all);
    }
    let fields = json!({"f:status": {"f:conditions": conditions, "f:images": {}, "f:allocatable": {"f:memory": {}}}});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": node_name(at), "uid": uid(4, at), "creationTimestamp": CREATED,
            "annotations": {"node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            "labels": {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": node_name(at), "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "n2-standard-16", "topology.kubernetes.io/region": "europe-west1",
                "topology.kubernetes.io/zone": "europe-west1-b"},
            "managedFields": [managed("kubelet", "Update", "v1", &fields)],
        },
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address(0xC0A8_0000, at + 1)},
                {"type": "Hostname", "address": node_name(at)}],
            "allocatable": resources, "capacity": resources, "conditions": kinds.map(condition),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}, "images": images,
            "nodeInfo": {"architecture": "amd64", "bootID": uid(5, at), "containerRuntimeVersion": "containerd://2.0.4",
                "kernelVersion": "6.12.9-cloud-amd64", "kubeProxyVersion": "", "kubeletVersion": "v1.34.1",
                "machineID": uid(6, at), "operatingSystem": "linux", "osImage": "Debian GNU/Linux 13 (trixie)",
                "systemUUID": uid(7, at)},
        },
    })
}

/// Returns the name of Node number `at`.
pub(crate) fn node_name(at: usize) -> String {
    format!("node-pool-a-{at:05}")
}

fn labels(at: usize) -> Value {
    json!({"app.kubernetes.io/instance": service_name(at), "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/name": "web"})
}

fn managed(manager: &str, operation: &str, version: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": version, "time": CREATED, "fieldsType": "FieldsV1",
        "fieldsV1": fields})
}

fn service_name(at: usize) -> String {
    format!("web-frontend-{at:05}")
}

fn namespace(at: usize) -> String {
    format!("team-{:03}", at % 100)
}

fn uid(kind: usize, at: usize) -> String {
    format!("{kind:08x}-5b1c-4c0e-9d2a-{at:012x}")
}

fn address(from: u32, at: usize) -> Ipv4Addr {
    Ipv4Addr::from(from + u32::try_from(at).unwrap_or_default())
}
