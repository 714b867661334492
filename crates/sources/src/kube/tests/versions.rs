//! Tests of answers without a resource version, from which no watch can continue.

use super::*;

/// Missing and invalid resource versions.
const NONE: [Option<&str>; 3] = [None, Some(""), Some("0")];

fn with_version(mut object: serde_json::Value, version: Option<&str>) -> serde_json::Value {
    object["metadata"]["resourceVersion"] = version.into();
    object
}

/// Follows `script` until the Service `a` is known, and returns the text of the only problem.
/// Checks that every watch had a version.
async fn check(
    settings: KubeSettings,
    script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
) -> String {
    let mut scene = Scene::start(settings, script).await;
    scene.until_services(&["a"]).await;
    let asked = scene.server.asked(SERVICES);
    let at_any = |path: &String| {
        let version = path.split("resourceVersion=").nth(1);
        let version = version.and_then(|rest| rest.split('&').next());
        path.contains("watch=true")
            && !path.contains("sendInitialEvents")
            && matches!(version, None | Some("" | "0"))
    };
    assert!(!asked.iter().any(at_any), "{asked:?}");
    let [trouble] = &scene.troubles[..] else {
        panic!("{:?}", scene.troubles);
    };
    assert_eq!(trouble.kind, ProblemKind::Protocol);
    trouble.message.clone()
}

const NO_VERSION: &str = "the answer has no resourceVersion";

#[tokio::test]
async fn a_streamed_list_that_ends_without_a_version_is_a_problem() {
    for version in NONE {
        let script =
            script(
                move |path, before| match (path.contains("sendInitialEvents"), before) {
                    (true, 0) => Reply::Open(vec![
                        event("ADDED", &service("stale", 3)),
                        end_of_list(version),
                        event("ADDED", &service("later", 4)),
                    ]),
                    (true, _) => {
                        Reply::Open(vec![event("ADDED", &service("a", 3)), end_of_list("7")])
                    }
                    (false, _) => Reply::Open(vec![]),
                },
            );
        let trouble = check(streaming(), script).await;
        assert!(trouble.starts_with("failed to list services"), "{trouble}");
        assert!(trouble.ends_with(NO_VERSION), "{trouble}");
    }
}

#[tokio::test]
async fn a_list_without_a_version_is_a_problem() {
    for version in NONE {
        let page = json!({"items": [service("stale", 3)], "metadata": {}});
        let page = with_version(page, version).to_string();
        let lists = [Reply::Body(200, page), list(7, &[service("a", 3)])];
        let trouble = check(settings(), answers(lists, [])).await;
        assert!(trouble.ends_with(NO_VERSION), "{trouble}");
    }
}

/// The change is applied. A relist follows, since the version from which to continue is unknown.
#[tokio::test]
async fn a_changed_object_without_a_version_causes_a_relist() {
    for kind in ["ADDED", "MODIFIED", "DELETED"] {
        for version in NONE {
            let change = event(kind, &with_version(service("stale", 5), version));
            let lists = [list(7, &[service("stale", 3)]), list(9, &[service("a", 8)])];
            let script = answers(lists, [Reply::Open(vec![change])]);
            let trouble = check(settings(), script).await;
            assert!(trouble.starts_with("failed to watch services"), "{trouble}");
            assert!(trouble.ends_with(NO_VERSION), "{trouble}");
        }
    }
}

#[tokio::test]
async fn a_bookmark_without_a_version_is_ignored() {
    for version in NONE {
        let watches = [
            Reply::Watch(vec![bookmark("8"), bookmark(version)]),
            Reply::Open(vec![event("ADDED", &service("a", 9))]),
        ];
        let script = answers([list(7, &[])], watches);
        let mut scene = Scene::start(settings(), script).await;
        scene.until_services(&["a"]).await;
        assert!(!scene.server.asked("resourceVersion=8").is_empty());
        assert_eq!((scene.troubles.len(), scene.lists), (0, 1));
    }
}
