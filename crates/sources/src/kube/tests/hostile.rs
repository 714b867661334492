//! Tests of hostile objects from users and hostile answers from a server.

use model::ObjectName;

use super::*;

/// Returns a Service with an out-of-range port, which cannot be decoded.
fn poisoned(name: &str, version: u32) -> serde_json::Value {
    let mut service = service(name, version);
    service["spec"]["ports"] = json!([{ "port": 1_u64 << 40 }]);
    service
}

/// Returns the names of the objects that cannot be decoded, with the field.
fn undecodable(scene: &Scene) -> Vec<String> {
    (scene.state.undecodable().iter())
        .map(|((_, name), why)| format!("{} {}", name.name, why.field))
        .collect()
}

const POISON: &str = "poison spec.ports[0].port";

#[tokio::test]
async fn an_undecodable_object_does_not_fail_its_page() {
    let script = script(|path, _| match path {
        path if path.contains("watch=true") => Reply::Open(vec![]),
        path if path.contains("continue=next") => {
            list(7, &[service("b", 4), poisoned("poison", 5)])
        }
        _ => first_page(&[poisoned("first", 2), service("a", 3)]),
    });
    let mut scene = Scene::start(settings(), script).await;
    scene.until_services(&["a", "b"]).await;
    assert_eq!(undecodable(&scene), ["first spec.ports[0].port", POISON]);
    assert_eq!((scene.troubles.len(), scene.lists), (0, 1));
}

#[tokio::test]
async fn an_undecodable_object_keeps_its_last_version() {
    let script = script(
        |path, before| match (path.contains("sendInitialEvents"), before) {
            (true, 0) => Reply::Watch(vec![
                event("ADDED", &service("a", 3)),
                event("ADDED", &service("poison", 4)),
                end_of_list("7"),
                event("MODIFIED", &poisoned("poison", 8)),
                event("ADDED", &service("b", 9)),
            ]),
            _ => Reply::Open(vec![]),
        },
    );
    let mut scene = Scene::start(streaming(), script).await;
    scene.until_services(&["a", "b", "poison"]).await;
    assert_eq!(undecodable(&scene), [POISON]);
    // The watch continues after the object.
    let resumed = |scene: &Scene| !scene.server.asked("resourceVersion=9").is_empty();
    while !resumed(&scene) {
        scene.linger(Duration::from_millis(20)).await;
    }
    assert_eq!((scene.troubles.len(), scene.lists), (0, 1));
}

#[tokio::test]
async fn an_undecodable_object_can_be_repaired_and_deleted() {
    let script = script(
        |path, before| match (path.contains("sendInitialEvents"), before) {
            (true, 0) => Reply::Open(vec![
                event("ADDED", &poisoned("mended", 3)),
                event("ADDED", &poisoned("deleted", 4)),
                event("ADDED", &poisoned("poison", 5)),
                end_of_list("7"),
                event("MODIFIED", &service("mended", 8)),
                event("DELETED", &poisoned("deleted", 9)),
            ]),
            _ => Reply::Open(vec![]),
        },
    );
    let mut scene = Scene::start(streaming(), script).await;
    scene.until_services(&["mended"]).await;
    scene
        .until("a deletion", |scene| undecodable(scene) == [POISON])
        .await;
}

#[tokio::test]
async fn a_list_without_an_undecodable_object_deletes_it() {
    let lists = [
        list(7, &[poisoned("poison", 5)]),
        list(9, &[service("a", 8)]),
    ];
    let script = answers(lists, [refuse(410, "Expired")]);
    let mut scene = Scene::start(settings(), script).await;
    scene.until_services(&["a"]).await;
    scene
        .until("the end of the list", |scene| undecodable(scene).is_empty())
        .await;
}

#[tokio::test]
async fn undecodable_slices_and_nodes_do_not_affect_others() {
    let endpoints = |name: &str, endpoints: serde_json::Value| {
        json!({"metadata": {"name": name, "namespace": "default", "resourceVersion": "3",
            "labels": {"kubernetes.io/service-name": "a"}}, "addressType": "IPv4", "endpoints": endpoints})
    };
    let slices = [
        endpoints("bad", json!([{"addresses": 7}])),
        endpoints("good", json!([{"addresses": ["10.1.0.1"]}])),
    ];
    let nodes = [
        json!({"metadata": {"name": "n1"}, "spec": {"podCIDRs": {}}}),
        json!({"metadata": {"name": "node1"}}),
    ];
    let ordinary = script(|path, _| match path.contains("watch=true") {
        true => Reply::Open(vec![]),
        false => list(7, &[service("a", 3)]),
    });
    let script = move |path: &str, before| match path {
        path if path.contains("watch=true") => ordinary(path, before),
        path if path.starts_with(SLICES) => list(7, &slices),
        path if path.starts_with(NODES) => list(7, &nodes),
        path => ordinary(path, before),
    };
    let mut scene = Scene::start(settings(), script).await;
    scene.until("all", |scene| scene.state.is_complete()).await;
    let bad = [
        (ObjectKind::EndpointSlice, ObjectName::new("default", "bad")),
        (ObjectKind::Node, ObjectName::new("", "n1")),
    ];
    assert!(scene.state.undecodable().keys().eq(&bad));
    let web = ObjectName::new("default", "a");
    assert_eq!(scene.state.slices(&web).count(), 1);
    assert!(scene.state.node("node1").is_some());
}

/// Returns a Service with the name `name`, which may be `null`.
fn nameless(name: serde_json::Value, version: u32) -> serde_json::Value {
    let mut service = service("a", version);
    service["metadata"]["name"] = name;
    service
}

/// All nameless objects of a namespace are one finding. They can be deleted.
#[tokio::test]
async fn objects_without_a_name_are_one_finding() {
    let listed = [
        nameless(json!(null), 3),
        service("a", 4),
        nameless(json!(""), 5),
    ];
    let watches = [
        Reply::Watch(vec![
            event("MODIFIED", &nameless(json!(""), 8)),
            event("ADDED", &service("b", 9)),
        ]),
        Reply::Open(vec![event("DELETED", &nameless(json!(""), 10))]),
    ];
    let script = answers([list(7, &listed)], watches);
    let mut scene = Scene::start(settings(), script).await;
    let finding = |scene: &Scene| undecodable(scene) == [" metadata.name"];
    scene.until("a finding", finding).await;
    scene.until_services(&["a", "b"]).await;
    (scene.until("a deletion", |scene| undecodable(scene).is_empty())).await;
    assert_eq!((scene.troubles.len(), scene.lists), (0, 1));
    assert!(!scene.server.asked("resourceVersion=9").is_empty());
}

#[tokio::test]
async fn slices_and_nodes_without_a_name_are_findings() {
    let ordinary = script(|path, _| match path.contains("watch=true") {
        true => Reply::Open(vec![]),
        false => list(7, &[service("a", 3)]),
    });
    let slice = json!({"metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1"]}]});
    let script = move |path: &str, before| match path {
        path if path.contains("watch=true") => ordinary(path, before),
        path if path.starts_with(SLICES) => list(7, std::slice::from_ref(&slice)),
        path if path.starts_with(NODES) => list(
            7,
            &[
                json!({"metadata": {}}),
                json!({"metadata": {"name": "node1"}}),
            ],
        ),
        path => ordinary(path, before),
    };
    let mut scene = Scene::start(settings(), script).await;
    scene.until("all", |scene| scene.state.is_complete()).await;
    let nameless = [
        (ObjectKind::EndpointSlice, ObjectName::new("shop", "")),
        (ObjectKind::Node, ObjectName::new("", "")),
    ];
    assert!(scene.state.undecodable().keys().eq(&nameless));
    assert!(scene.state.node("node1").is_some() && scene.state.nodes().count() == 1);
}

/// kube-apiserver answers 500 if its etcd is too old for consistent reads from the cache. An old
/// server answers with an ordinary watch.
#[tokio::test]
async fn a_server_that_refuses_to_stream_is_listed_by_pages() {
    let codes = [400, 401, 403, 404, 405, 422, 429, 500, 501, 503, 504];
    let refusals = codes.map(|code| (code.to_string(), refuse(code, "Whatever")));
    let error = status(500, "InternalError", "etcdserver: no leader");
    let streams = [
        (
            "an error in the stream",
            vec![event("ADDED", &service("gone", 2)), event("ERROR", &error)],
        ),
        ("an ordinary watch", vec![event("ADDED", &service("a", 3))]),
    ];
    let streams = streams.map(|(name, lines)| (name.to_owned(), Reply::Open(lines)));
    for (name, reply) in refusals.into_iter().chain(streams) {
        let script = script(move |path, _| match path {
            path if path.contains("sendInitialEvents") => reply.clone(),
            path if path.contains("watch=true") => Reply::Open(vec![]),
            _ => list(7, &[service("a", 3)]),
        });
        let mut scene = Scene::start(streaming(), script).await;
        scene.until_services(&["a"]).await;
        assert_eq!(scene.troubles, [], "{name}");
        let asked = scene.server.asked("sendInitialEvents");
        assert_eq!(asked.len(), 3, "{name}");
    }
}

/// After the restore of an etcd backup the server continues from an earlier version.
#[tokio::test]
async fn a_version_that_goes_backwards_causes_a_relist() {
    let backwards = [
        bookmark("5"),
        event("MODIFIED", &service("a", 5)),
        event("DELETED", &service("a", 5)),
    ];
    for line in backwards {
        let lists = [
            list(7, &[service("a", 3), service("stale", 6)]),
            list(5, &[service("a", 3)]),
        ];
        let script = answers(lists, [Reply::Open(vec![bookmark("8"), line])]);
        let mut settings = settings();
        settings.silence = Duration::from_secs(60);
        let mut scene = Scene::start(settings, script).await;
        scene.until_services(&["a"]).await;
        assert_eq!(scene.lists, 2);
    }
}

/// No server answers during the restore of an etcd backup.
#[tokio::test]
async fn the_version_is_checked_after_an_outage() {
    let script = script(|path, before| match (path.contains("watch=true"), before) {
        (true, 0) => Reply::Watch(vec![]),
        (true, 1) => refuse(503, "ServiceUnavailable"),
        (true, _) => Reply::Open(vec![]),
        (false, 0) if !path.ends_with("limit=1") => {
            list(7, &[service("a", 3), service("stale", 6)])
        }
        (false, _) => list(5, &[service("a", 3)]),
    });
    let mut settings = settings();
    settings.silence = Duration::from_secs(60);
    let mut scene = Scene::with_all(settings, script).await;
    scene.until_services(&["a"]).await;
    assert_eq!(scene.lists, 2);
}

#[tokio::test]
async fn an_endless_line_is_rejected() {
    let endless = "x".repeat(17 << 20);
    let lists = [list(7, &[]), list(9, &[service("a", 8)])];
    let script = answers(lists, [Reply::Open(vec![endless])]);
    let mut settings = settings();
    settings.silence = Duration::from_secs(60);
    let mut scene = Scene::start(settings, script).await;
    scene.until_services(&["a"]).await;
    let [trouble] = &scene.troubles[..] else {
        panic!("{:?}", scene.troubles);
    };
    assert!(trouble.message.ends_with("longer than 16 MiB"), "{trouble}");
}

#[tokio::test]
async fn a_page_that_is_too_long_is_requested_in_parts() {
    let long = " ".repeat(65 << 20);
    let script = script(move |path, _| {
        if path.contains("watch=true") {
            return Reply::Open(vec![]);
        }
        match path.contains("limit=500") {
            true => Reply::Body(200, format!("{{\"items\": [{long}]}}")),
            false => list(7, &[service("a", 3)]),
        }
    });
    let mut settings = settings();
    settings.request_timeout = Duration::from_secs(30);
    let mut scene = Scene::start(settings, script).await;
    scene.until_services(&["a"]).await;
    let [trouble] = &scene.troubles[..] else {
        panic!("{:?}", scene.troubles);
    };
    assert!(trouble.message.ends_with("longer than 64 MiB"), "{trouble}");
    assert!(!scene.server.asked("limit=62").is_empty());
}

#[tokio::test]
async fn invalid_answers_are_problems_and_the_watch_continues() {
    let html = || "<html><body>login</body></html>".to_owned();
    let answers: [fn() -> Reply; 6] = [
        || Reply::Body(200, "<html><body>login</body></html>".to_owned()),
        || Reply::Body(502, "<html>bad gateway</html>".to_owned()),
        || Reply::Body(500, "x\n".repeat(1_000_000)),
        || Reply::Body(302, String::new()),
        || Reply::Body(200, "[]".to_owned()),
        || Reply::Body(200, r#"{"items": {}}"#.to_owned()),
    ];
    for answer in answers {
        let script = script(
            move |path, before| match (path.contains("watch=true"), before) {
                (false, 0) => answer(),
                (false, _) => list(7, &[service("a", 3)]),
                (true, _) => Reply::Watch(vec![html()]),
            },
        );
        let mut scene = Scene::start(settings(), script).await;
        scene.until_services(&["a"]).await;
        let first = scene.troubles.first().expect("a trouble");
        assert!(first.message.chars().count() < 400, "{first}");
    }
}
