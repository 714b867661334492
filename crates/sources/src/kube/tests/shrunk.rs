//! Tests of lists that lack most of the known objects.

use super::*;

const AFTER: Duration = Duration::from_millis(700);

/// Returns the script of a server that forgets each version at once. `listed` returns the number of
/// Services in each list.
fn lists_of(
    listed: impl Fn(usize) -> usize + Send + Sync + 'static,
) -> impl Fn(&str, usize) -> Reply + Send + Sync + 'static {
    let lists = std::sync::atomic::AtomicUsize::new(0);
    script(move |path, _| {
        if path.contains("watch=true") {
            return refuse(410, "Expired");
        }
        let number = lists.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let services: Vec<_> = (0..listed(number))
            .map(|index| service(&format!("s{index:02}"), 3))
            .collect();
        list(7, &services)
    })
}

async fn scene(listed: impl Fn(usize) -> usize + Send + Sync + 'static) -> Scene {
    let confirmation = Confirmation {
        after: AFTER,
        ..Confirmation::default()
    };
    // The wait must not be cut at the longest wait of the back-off.
    let mut settings = settings();
    settings.backoff.max = AFTER * 2;
    Scene::confirming(confirmation, settings, lists_of(listed)).await
}

#[tokio::test]
async fn a_briefly_empty_server_deletes_nothing() {
    let mut scene = scene(|number| if number == 1 { 0 } else { 30 }).await;
    scene
        .until("three lists", |scene| {
            scene.lists >= 3 && scene.recovered > 0
        })
        .await;
    assert_eq!(scene.services().len(), 30);
    assert_eq!(scene.fewest, 30, "a list deleted objects");
    let problem = &scene.troubles[0];
    assert_eq!(problem.kind, ProblemKind::Shrunk);
    assert!(
        problem.message.contains("lacks 30 of 30 known objects"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_second_equal_list_deletes() {
    let start = Instant::now();
    let mut scene = scene(|number| if number == 0 { 30 } else { 2 }).await;
    scene
        .until("two Services", |scene| {
            scene.lists > 2 && scene.services().len() == 2
        })
        .await;
    assert!(start.elapsed() >= AFTER);
    assert_eq!(scene.troubles.len(), 1, "{:?}", scene.troubles);
    scene.until("recovered", |scene| scene.recovered == 1).await;
}

#[tokio::test]
async fn a_list_that_lacks_half_deletes_at_once() {
    let mut scene = scene(|number| if number == 0 { 30 } else { 15 }).await;
    scene
        .until("15 Services", |scene| {
            scene.lists > 1 && scene.services().len() == 15
        })
        .await;
    assert_eq!(scene.troubles, []);
}
