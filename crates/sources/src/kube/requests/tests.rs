use std::time::Duration;

use http::Method;

use super::{Latencies, RequestStats};

fn stats() -> RequestStats {
    RequestStats::new(&"https://10.96.0.1:443/base".parse().expect("a URL"))
}

fn count(stats: &RequestStats, code: &str, method: Method) -> Option<u64> {
    let counts = stats.counts();
    counts.results.get(&(code.to_owned(), method)).copied()
}

#[test]
fn the_host_has_its_port_and_no_path() {
    assert_eq!(stats().host(), "10.96.0.1:443");
}

#[test]
fn results_are_counted_by_code_and_method() {
    let stats = stats();
    assert_eq!(count(&stats, "403", Method::GET), Some(0), "from the start");
    stats.record(&Method::GET, Some(403), Duration::ZERO);
    stats.record(&Method::GET, None, Duration::ZERO);
    stats.record(&Method::POST, Some(201), Duration::ZERO);
    assert_eq!(count(&stats, "403", Method::GET), Some(1));
    assert_eq!(count(&stats, "<error>", Method::GET), Some(1));
    assert_eq!(count(&stats, "201", Method::POST), Some(1));
    assert_eq!(count(&stats, "201", Method::GET), None);
    assert_eq!(stats.counts().latencies[&Method::GET].count, 2);
}

#[test]
fn a_duration_counts_in_the_first_bucket_that_contains_it() {
    let mut latencies = Latencies::default();
    for milliseconds in [5, 6, 60_000, 60_001] {
        latencies.record(Duration::from_millis(milliseconds));
    }
    assert_eq!(latencies.buckets, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(latencies.count, 4);
    assert_eq!(latencies.sum, Duration::from_millis(120_012));
}
