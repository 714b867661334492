//! Tests of the selectors in requests.

use super::*;

#[tokio::test]
async fn requests_have_the_selectors_of_kube_proxy() {
    let mut scene = Scene::start(
        KubeSettings {
            nodes: Nodes::Own,
            ..settings()
        },
        script(|path, _| {
            if path.contains("watch=true") {
                Reply::Open(vec![])
            } else {
                list(7, &[service("a", 3)])
            }
        }),
    )
    .await;
    scene.until_services(&["a"]).await;
    scene.linger(Duration::from_millis(100)).await;
    for (resource, selector) in [
        (
            SERVICES,
            "labelSelector=%21service.kubernetes.io%2Fservice-proxy-name&",
        ),
        (SERVICES, "fieldSelector=spec.clusterIP%21%3DNone"),
        (SLICES, "labelSelector=%21service.kubernetes.io%2Fheadless&"),
        (NODES, "fieldSelector=metadata.name%3Dnode1"),
    ] {
        let asked = scene.server.asked(resource);
        let all = (asked.iter()).all(|path| format!("{path}&").contains(selector));
        assert!(all, "{asked:?}");
    }
    let watches = scene.server.asked("services?&watch=true");
    assert!(watches[0].contains("resourceVersion=7"), "{watches:?}");
    assert!(
        watches[0].contains("allowWatchBookmarks=true"),
        "{watches:?}"
    );
}

#[tokio::test]
async fn a_refused_field_selector_is_omitted() {
    for (code, settings) in [(400, settings()), (422, streaming()), (400, streaming())] {
        let mut scene = Scene::start(
            settings,
            script(move |path, _| {
                if path.contains("fieldSelector") {
                    Reply::Body(
                        code,
                        status(code, "BadRequest", "field label not supported").to_string(),
                    )
                } else if path.contains("watch=true") {
                    Reply::Open(vec![event("ADDED", &service("b", 8))])
                } else {
                    list(7, &[service("a", 3)])
                }
            }),
        )
        .await;
        scene.until_services(&["a", "b"]).await;
        assert_eq!(scene.troubles, []);
        let refused = scene
            .server
            .asked("services?")
            .iter()
            .filter(|path| path.contains("fieldSelector"))
            .count();
        assert!(refused <= 2, "{refused} requests");
    }
}
