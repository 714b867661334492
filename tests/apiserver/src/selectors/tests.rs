use super::Selector;
use crate::object::Object;
use crate::resource::Resource;
use serde_json::json;

fn service() -> Object {
    let value = json!({"metadata": {"name": "web", "namespace": "shop",
        "labels": {"app": "web", "tier": "front", "service.kubernetes.io/x": ""}}});
    Object::new(Resource::Services, value, 7)
}

#[track_caller]
fn check(labels: &str, fields: &str, matches: bool) {
    let selector = Selector::parse(Resource::Services, labels, fields).unwrap();
    assert_eq!(
        selector.matches(&service()),
        matches,
        "labels {labels:?} fields {fields:?}"
    );
}

#[test]
fn equality() {
    check("", "", true);
    check("app=web", "", true);
    check("app==web,tier=front", "", true);
    check("app=db", "", false);
    check("app!=db", "", true);
    check("nokey!=db", "", true);
    check("app!=web", "", false);
}

#[test]
fn sets_and_existence() {
    check("app in (db, web)", "", true);
    check("app notin (db,web),tier", "", false);
    check("nokey notin (a)", "", true);
    check("tier,!nokey", "", true);
    check("!service.kubernetes.io/x", "", false);
    check(
        "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless",
        "",
        true,
    );
}

#[test]
fn fields() {
    check("", "metadata.name=web", true);
    check("", "metadata.name=web,metadata.namespace!=shop", false);
    check("app", "metadata.namespace==shop", true);
}

#[test]
fn refusals() {
    for (labels, fields) in [
        ("app in web", ""),
        ("app in (web", ""),
        (",", ""),
        ("", "metadata.uid=1"),
        ("", "metadata.name"),
    ] {
        let error = Selector::parse(Resource::Services, labels, fields).unwrap_err();
        assert_eq!(error.code, 400, "labels {labels:?} fields {fields:?}");
    }
}
