use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Endpoints, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::PERMISSIONS;
use crate::kube::resource::Watched;

fn watched<K: Watched>() -> (String, String) {
    (K::group(&()).into_owned(), K::PLURAL.to_owned())
}

#[test]
fn what_is_watched_is_what_may_be_listed_and_watched() {
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
