use std::collections::BTreeSet;

use k8s_openapi::Resource;
use k8s_openapi::api::events::v1::Event;

use super::PERMISSIONS;
use crate::kube::resource::Watched;
use crate::objects::{EndpointSlice, Endpoints, Node, Service};

fn watched<K: Watched>() -> (String, String) {
    (K::GROUP.to_owned(), K::PLURAL.to_owned())
}

#[test]
fn every_watched_resource_may_be_listed_and_watched() {
    let expected = BTreeSet::from([
        watched::<Service>(),
        watched::<EndpointSlice>(),
        watched::<Endpoints>(),
        watched::<Node>(),
    ]);
    let found: BTreeSet<_> = (PERMISSIONS.iter())
        .filter(|permission| permission.verbs == ["list", "watch"])
        .map(|permission| (permission.group.to_owned(), permission.resource.to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn events_may_be_created_and_patched() {
    let other: Vec<_> = (PERMISSIONS.iter())
        .filter(|permission| permission.verbs != ["list", "watch"])
        .map(|permission| (permission.group, permission.resource, permission.verbs))
        .collect();
    let verbs: &[&str] = &["create", "patch"];
    assert_eq!(other, [(Event::GROUP, "events", verbs)]);
    assert!(PERMISSIONS.is_sorted_by_key(|permission| (permission.group, permission.resource)));
}
