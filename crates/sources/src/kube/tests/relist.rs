//! Tests of the waits before relists.

use super::super::backoff::Retries;
use super::*;

/// Script of a server that forgets each version at once.
fn forgetful(path: &str, _before: usize) -> Reply {
    match path.contains("watch=true") {
        true => refuse(410, "Expired"),
        false => list(7, &[]),
    }
}

#[tokio::test]
async fn waits_before_consecutive_relists_grow() {
    let mut settings = settings();
    settings.backoff.base = Duration::from_millis(1);
    settings.relist.base = Duration::from_millis(200);
    settings.relist.max = Duration::from_millis(400);
    let start = Instant::now();
    let mut scene = Scene::start(settings, script(forgetful)).await;
    scene.until("four lists", |scene| scene.lists == 4).await;
    // 200, 400 and 400 ms, each up to half as long.
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(scene.troubles, []);
}

#[tokio::test]
async fn a_streamed_list_has_a_longer_timeout_than_a_watch() {
    let settings = KubeSettings {
        watch_timeout: Duration::from_secs(100),
        list_timeout: Duration::from_secs(1000),
        ..streaming()
    };
    // The stream ends right after the list, so that a watch follows.
    let script = script(|path, _| match path.contains("sendInitialEvents") {
        true => Reply::Watch(vec![end_of_list("7")]),
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
fn relists_of_many_nodes_are_spread() {
    let settings = KubeSettings::new("node1");
    let mut waits: Vec<_> = (0..1000)
        .map(|_| Retries::new(settings.relist).wait())
        .collect();
    waits.sort();
    let (first, last) = (waits[0].as_millis(), waits[999].as_millis());
    assert!((800..900).contains(&first), "{first} ms");
    assert!((1500..=1600).contains(&last), "{last} ms");
}
