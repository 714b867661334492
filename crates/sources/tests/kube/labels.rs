//! Labels of Services that policies read.

use std::sync::Arc;

use sources::objects::LabelKeys;

use super::*;

/// Labels are kept as far as policies read them. Policies that read others make the source list
/// Services again, and only these.
#[tokio::test]
async fn services_are_listed_again_for_other_labels() {
    let server = server().await;
    fill(&server);
    let labels = json!({"tier": "front", "team": "shop", "long": "x".repeat(63)});
    let mut labelled = service("s1", "10.96.1.1");
    labelled["metadata"]["labels"] = labels.clone();
    server.put(labelled).expect("a Service");
    let (keys, read) = tokio::sync::watch::channel(Arc::default());
    let settings = KubeSettings {
        labels: LabelKeys::following(read),
        ..settings()
    };
    let mut scene = Scene::start(server, settings).await;
    scene.agree().await;
    let known = |scene: &Scene, service: &str| {
        let service = scene.state.service(&name(service));
        let labels = service.expect("the Service").labels;
        (labels.into_iter())
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
    };
    assert!(known(&scene, "s1").is_empty());
    for (read, expected) in [
        (&["tier"][..], &["tier=front"][..]),
        (&["team", "tier", "zone"], &["team=shop", "tier=front"]),
        (&[], &[]),
    ] {
        let lists = scene.lists;
        keys.send_replace(Arc::new(read.iter().map(|key| Name::from(*key)).collect()));
        while known(&scene, "s1") != expected {
            scene.receive().await;
        }
        scene.agree().await;
        assert_eq!(scene.lists, lists + 1, "{read:?}");
    }
    // The watch that follows the list keeps the same labels.
    keys.send_replace(Arc::new([Name::from("team")].into()));
    while known(&scene, "s1") != ["team=shop"] {
        scene.receive().await;
    }
    let mut changed = service("s2", "10.96.1.2");
    changed["metadata"]["labels"] = labels;
    scene.server.put(changed).expect("a Service");
    scene.agree().await;
    assert_eq!(known(&scene, "s2"), ["team=shop"]);
    assert!(scene.troubles.is_empty());
}
