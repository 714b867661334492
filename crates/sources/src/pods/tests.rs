use std::path::Path;

use model::ObjectName;

use super::PodAddresses;
use crate::files;

const OBJECTS: &str = r#"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
  - {addresses: [10.244.1.5], targetRef: {kind: Pod, name: web-a, namespace: shop}}
  - {addresses: [10.244.1.6], targetRef: {kind: Pod, name: web-b}}
  - {addresses: [10.244.1.7], targetRef: {kind: Pod, name: web-a, namespace: bank}}
  - {addresses: [10.244.1.8], targetRef: {kind: VirtualMachine, name: web-c, namespace: shop}}
  - {addresses: [10.244.1.9], targetRef: {kind: Pod, namespace: shop}}
  - {addresses: [web.example.com], targetRef: {kind: Pod, name: web-d, namespace: shop}}
  - {addresses: [10.244.1.10]}
---
apiVersion: discovery.k8s.io/v1beta1
kind: EndpointSlice
metadata: {name: web-2, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
endpoints:
  - {addresses: ["fd00::5"], targetRef: {kind: Pod, name: web-a, namespace: shop}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-1
  namespace: shop
  labels: {kubernetes.io/service-name: db, service.kubernetes.io/headless: ""}
addressType: IPv4
endpoints:
  - {addresses: [10.244.2.5], targetRef: {kind: Pod, name: db-0, namespace: shop}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: old, namespace: shop}
subsets:
  - addresses: [{ip: 10.244.2.6, targetRef: {kind: Pod, name: old-0, namespace: shop}}]
    notReadyAddresses: [{ip: 10.244.2.7, targetRef: {kind: Pod, name: old-1, namespace: shop}}]
"#;

fn lines(pods: &PodAddresses) -> Vec<String> {
    (pods.names())
        .map(|name| format!("{name} {:?}", pods.of(name).expect("addresses")))
        .collect()
}

#[test]
fn endpoints_name_the_pods_of_their_namespace() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("objects.yaml");
    std::fs::write(&path, OBJECTS).expect("a file");
    let found = files::read_with_pods(std::slice::from_ref(&path));
    assert_eq!(found.errors, []);
    assert_eq!(
        lines(&found.pods),
        [
            "shop/db-0 {10.244.2.5}",
            "shop/old-0 {10.244.2.6}",
            "shop/old-1 {10.244.2.7}",
            "shop/web-a {10.244.1.5, fd00::5}",
            "shop/web-b {10.244.1.6}",
        ]
    );
    // The objects are the same with and without pods.
    let without = files::read(&[path]);
    assert_eq!(without.objects, found.objects);
    assert_eq!(without.pods, PodAddresses::default());
}

#[test]
fn an_unknown_pod_has_no_addresses() {
    let found = files::parse(Path::new("objects.yaml"), OBJECTS);
    assert_eq!(found.pods.of(&ObjectName::new("shop", "web-a")), None);
}
