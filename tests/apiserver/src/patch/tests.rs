use super::Patch;
use crate::resource::Resource;
use serde_json::{Value, json};

#[track_caller]
fn check(content_type: &str, old: &Value, patch: &Value, new: &Value) {
    let patch = Patch::parse(content_type, patch.to_string().as_bytes()).unwrap();
    assert_eq!(patch.patch(Resource::Services, old).unwrap(), *new);
}

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json-patch+json";

#[test]
fn a_merge_patch_replaces_lists_and_removes_by_null() {
    check(
        MERGE,
        &json!({"a": {"b": 1, "c": [1, 2]}, "d": 4}),
        &json!({"a": {"c": [3], "e": {"f": null, "g": 1}}, "d": null}),
        &json!({"a": {"b": 1, "c": [3], "e": {"g": 1}}}),
    );
}

#[test]
fn a_json_patch_tests_and_changes() {
    let old = json!({"spec": {"ports": [{"port": 80}]}});
    let ops = json!([
        {"op": "test", "path": "/spec/ports/0/port", "value": 80},
        {"op": "add", "path": "/spec/ports/-", "value": {"port": 81}},
        {"op": "remove", "path": "/spec/ports/0"},
    ]);
    check(
        JSON,
        &old,
        &ops,
        &json!({"spec": {"ports": [{"port": 81}]}}),
    );
    let failing = json!([{"op": "test", "path": "/spec/ports/0/port", "value": 9}]);
    let patch = Patch::parse(JSON, failing.to_string().as_bytes()).unwrap();
    assert_eq!(patch.patch(Resource::Services, &old).unwrap_err().code, 422);
}

#[test]
fn ports_are_merged_by_their_number() {
    let old = json!({"spec": {"ports": [{"port": 80, "nodePort": 30000}, {"port": 81}], "externalIPs": ["192.0.2.1"]}});
    check(
        STRATEGIC,
        &old,
        &json!({"spec": {"externalIPs": ["192.0.2.2"], "ports": [{"port": 80, "targetPort": 8080}, {"port": 82}]}}),
        &json!({"spec": {"externalIPs": ["192.0.2.2"],
            "ports": [{"port": 80, "nodePort": 30000, "targetPort": 8080}, {"port": 81}, {"port": 82}]}}),
    );
}

#[test]
fn directives() {
    let old = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"selector": {"x": "1"},
        "ports": [{"port": 80}, {"port": 81}]}});
    check(
        STRATEGIC,
        &old,
        &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}, "spec": {
            "$setElementOrder/ports": [{"port": 82}, {"port": 80}],
            "ports": [{"port": 82}, {"$patch": "delete", "port": 81}],
            "selector": {"$patch": "replace", "y": "2"}}}),
        &json!({"metadata": {"finalizers": ["b"]}, "spec": {"selector": {"y": "2"},
            "ports": [{"port": 82}, {"port": 80}]}}),
    );
}

#[test]
fn a_patch_of_another_kind_is_refused() {
    assert_eq!(
        Patch::parse("application/json", b"{}").unwrap_err().code,
        415
    );
}
