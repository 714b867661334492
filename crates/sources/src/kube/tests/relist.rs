//! The time after which a server that has forgotten is asked for everything again.

use super::super::backoff::Retries;
use super::*;

/// A server that forgets each version at once.
fn forgetful(path: &str, _before: usize) -> Reply {
    match path.contains("watch=true") {
        true => refuse(410, "Expired"),
        false => list(7, &[]),
    }
}

#[tokio::test]
async fn lists_that_follow_each_other_wait_longer_and_longer() {
    let mut patient = settings();
    patient.backoff.base = Duration::from_millis(1);
    patient.relist.base = Duration::from_millis(200);
    patient.relist.max = Duration::from_millis(400);
    let start = Instant::now();
    let mut scene = Scene::start(patient, script(forgetful)).await;
    scene.until("four lists", |scene| scene.lists == 4).await;
    // 200, 400 and 400 ms, each up to half as long.
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(scene.troubles, []);
}

#[tokio::test]
async fn a_streamed_list_has_more_time_than_a_watch() {
    let settings = KubeSettings {
        streaming_lists: true,
        watch_timeout: Duration::from_secs(100),
        list_timeout: Duration::from_secs(1000),
        ..settings()
    };
    // What begins with a list ends right after it, so that a watch follows.
    let end = json!({"kind": "Service", "apiVersion": "v1", "metadata": {"resourceVersion": "7",
        "annotations": {"k8s.io/initial-events-end": "true"}}});
    let script = script(move |path, _| match path.contains("sendInitialEvents") {
        true => Reply::Watch(vec![event("BOOKMARK", &end)]),
        false => Reply::Open(vec![event("ADDED", &service("a", 8))]),
    });
    let mut scene = Scene::start(settings, script).await;
    scene.until_services(&["a"]).await;
    let asked = scene.server.asked(SERVICES);
    let seconds: Vec<u64> = (asked.iter().take(2))
        .filter_map(|path| path.split_once("timeoutSeconds=")?.1.split('&').next())
        .filter_map(|seconds| seconds.parse().ok())
        .collect();
    assert!((750..=1000).contains(&seconds[0]), "{asked:?}");
    assert!((75..=100).contains(&seconds[1]), "{asked:?}");
}

#[test]
fn nodes_that_were_forgotten_together_do_not_list_together() {
    let settings = KubeSettings::new("node1");
    let mut waits: Vec<_> = (0..1000)
        .map(|_| Retries::new(settings.relist).wait())
        .collect();
    waits.sort();
    let (first, last) = (waits[0].as_millis(), waits[999].as_millis());
    assert!((800..900).contains(&first), "{first} ms");
    assert!((1500..=1600).contains(&last), "{last} ms");
}
