use super::*;

fn backoff() -> Backoff {
    Backoff::new(&BackoffSettings {
        base: Duration::from_millis(100),
        max: Duration::from_millis(350),
    })
}

#[test]
fn waits_double_up_to_the_longest() {
    let mut backoff = backoff();
    let waits: Vec<_> = (0..4).map(|_| backoff.wait(0).as_millis()).collect();
    assert_eq!(waits, [100, 200, 350, 350]);
    backoff.reset();
    assert_eq!(backoff.wait(0).as_millis(), 100);
}

#[test]
fn jitter_takes_up_to_half_off() {
    let wait = backoff().wait(u64::MAX);
    assert!(
        (50.0..51.0).contains(&(wait.as_secs_f64() * 1e3)),
        "{wait:?}"
    );
    let mut different: Vec<_> = (0..20).map(|_| backoff().wait(random())).collect();
    different.sort();
    different.dedup();
    assert!(different.len() > 10);
}

#[tokio::test(start_paused = true)]
async fn a_server_may_demand_a_longer_wait() {
    let start = tokio::time::Instant::now();
    backoff().pause(Some(Duration::from_millis(300))).await;
    assert_eq!(start.elapsed().as_millis(), 300);
    let start = tokio::time::Instant::now();
    backoff().pause(Some(Duration::from_secs(1000))).await;
    assert_eq!(start.elapsed().as_millis(), 350);
}
