use super::Selector;
use crate::object::Object;
use crate::resource::Resource;
use serde_json::json;

#[track_caller]
fn check(labels: &str, fields: &str, matches: bool) {
    let value = json!({"metadata": {"name": "web", "namespace": "shop",
        "labels": {"app": "web", "service.kubernetes.io/x": ""}}});
    let service = Object::new(Resource::Services, value, 7);
    let selector = Selector::parse(labels, fields).unwrap();
    let found = selector.matches(&service);
    assert_eq!(found, matches, "labels {labels:?} fields {fields:?}");
}

#[test]
fn absent_labels() {
    check("", "", true);
    check("!service.kubernetes.io/x", "", false);
    check("!app,!nokey", "", false);
    let both = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";
    check(both, "", true);
}

#[test]
fn fields() {
    check("", "metadata.name=web", true);
    check("", "metadata.name=web,metadata.namespace!=shop", false);
    check("!nokey", "metadata.namespace=shop", true);
    check("", "spec.clusterIP!=None", true);
}

#[test]
fn refusals() {
    for (labels, fields) in [("app in (web)", ""), ("app", ""), ("", "metadata.name")] {
        let error = Selector::parse(labels, fields).unwrap_err();
        assert_eq!(error.code, 400, "labels {labels:?} fields {fields:?}");
    }
}
