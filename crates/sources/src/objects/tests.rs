use serde_json::json;

use super::*;

/// Returns a Service as an API server stores it, with `change` applied.
fn with(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
    });
    change(&mut service);
    service.to_string()
}

fn nested(depth: usize) -> serde_json::Value {
    (0..depth).fold(json!({}), |inner, _| json!({ "f:x": inner }))
}

#[test]
fn unused_fields_may_have_any_content() {
    let fields = [
        ("time", json!("9999-12-31T23:59:59Z")),
        ("time", json!(7)),
        ("fieldsV1", nested(100)),
        ("fieldsV1", json!([[], "x"])),
    ];
    for (field, value) in fields {
        let text = with(|service| {
            service["metadata"]["managedFields"] = json!([{ field: value }]);
            service["metadata"]["ownerReferences"] = json!({ field: value });
            service["status"] = json!({"conditions": [{"lastTransitionTime": value}]});
        });
        let service: Service = decode(&text).expect("a Service");
        assert_eq!(
            service.metadata.object_name(),
            ObjectName::new("shop", "web")
        );
        assert_eq!(service.spec.ports.expect("ports")[0].port, 80);
    }
}

/// The nesting is deeper than the recursion limit of serde_json.
#[test]
fn fields_that_are_not_read_may_be_deeply_nested() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = with(|_| {}).replacen("\"spec\"", &format!("\"x\": {deep}, \"spec\""), 1);
    assert!(decode::<Service>(&text).is_ok());
    let node = format!(r#"{{"metadata": {{"name": "n1"}}, "status": {{"images": {deep}}}}}"#);
    assert!(decode::<Node>(&node).is_ok());
}

#[test]
fn invalid_times_are_ignored() {
    for time in ["9999-12-31T23:59:59Z", "yesterday", ""] {
        let text = with(|service| service["metadata"]["creationTimestamp"] = json!(time));
        let service: Service = decode(&text).expect("a Service");
        assert_eq!(service.metadata.creation_timestamp, None, "{time}");
    }
    let text =
        with(|service| service["metadata"]["creationTimestamp"] = json!("1970-01-01T00:01:00Z"));
    let service: Service = decode(&text).expect("a Service");
    assert_eq!(service.metadata.creation_timestamp, Some(60));
}

#[test]
fn null_is_the_default() {
    let text = with(|service| {
        for field in ["labels", "annotations", "deletionTimestamp"] {
            service["metadata"][field] = json!(null);
        }
        service["spec"] = json!(null);
        service["status"] = json!(null);
    });
    let service: Service = decode(&text).expect("a Service");
    assert!(!service.metadata.deletion_timestamp);
    assert!(service.spec.ports.is_none());
    let slice = r#"{"metadata": {"name": "x"}, "endpoints": null, "ports": null}"#;
    assert!(
        decode::<EndpointSlice>(slice)
            .expect("a slice")
            .endpoints
            .is_empty()
    );
}

#[test]
fn errors_name_the_field() {
    let check = |change: fn(&mut serde_json::Value), field: &str| {
        let error = decode::<Service>(&with(change)).expect_err("an error");
        assert_eq!(&*error.field, field);
        assert!(!error.problem.is_empty());
        assert!(error.problem.chars().count() <= 256);
    };
    check(
        |service| service["spec"]["ports"][0]["port"] = json!(1_u64 << 40),
        "spec.ports[0].port",
    );
    check(
        |service| service["metadata"]["labels"] = json!([]),
        "metadata.labels",
    );
    check(
        |service| service["spec"]["externalIPs"] = json!("\u{1b}\n".repeat(1000)),
        "spec.externalIPs",
    );
}

#[test]
fn an_array_is_not_an_object() {
    let check = |change: fn(&mut serde_json::Value)| {
        assert!(decode::<Service>(&with(change)).is_err());
    };
    check(|service| service["metadata"] = json!(["web"]));
    check(|service| service["metadata"]["labels"] = json!(["web"]));
    check(|service| service["metadata"]["annotations"] = json!(["wrr"]));
    check(|service| service["spec"] = json!([]));
    check(|service| service["status"] = json!([]));
}
