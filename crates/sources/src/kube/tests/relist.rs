//! How soon a server that has forgotten is asked for everything again.

use super::super::backoff::random;
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

#[test]
fn nodes_that_were_forgotten_together_do_not_list_together() {
    let settings = KubeSettings::new("node1");
    let mut waits: Vec<_> = (0..1000)
        .map(|_| Backoff::new(&settings.relist).wait(random()))
        .collect();
    waits.sort();
    let (first, last) = (waits[0].as_millis(), waits[999].as_millis());
    assert!((800..900).contains(&first), "{first} ms");
    assert!((1500..=1600).contains(&last), "{last} ms");
}
