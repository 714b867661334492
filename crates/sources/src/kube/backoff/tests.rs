use super::*;

fn retries() -> Retries {
    Retries::new(BackoffSettings {
        base: Duration::from_millis(100),
        max: Duration::from_millis(350),
    })
}

#[test]
fn success_resets_the_wait() {
    let mut retries = retries();
    for whole in [100, 200, 350, 350].map(Duration::from_millis) {
        let wait = retries.wait();
        assert!(wait <= whole && wait >= whole / 2, "{wait:?}");
    }
    retries.reset();
    assert!(retries.wait() <= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_server_may_ask_for_a_longer_wait() {
    let start = tokio::time::Instant::now();
    retries().pause(Some(Duration::from_millis(300))).await;
    assert_eq!(start.elapsed().as_millis(), 300);
    let start = tokio::time::Instant::now();
    retries().pause(Some(Duration::from_secs(1000))).await;
    assert_eq!(start.elapsed().as_millis(), 350);
}
