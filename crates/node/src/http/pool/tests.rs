//! Tests of the order in which connections are displaced.

use std::future::pending;

use super::*;
use crate::http::tests::metrics;

/// A listener with connections that stay open until they are displaced.
struct Listener {
    lane: Lane,
    tasks: JoinSet<()>,
}

impl Listener {
    fn of(pool: &ConnectionPool) -> Self {
        Self {
            lane: pool.lane(),
            tasks: JoinSet::new(),
        }
    }

    async fn connect(&mut self) {
        self.lane.spawn(&mut self.tasks, pending()).await;
    }

    fn open(&mut self) -> usize {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.len()
    }
}

#[tokio::test]
async fn the_fullest_listener_makes_room() {
    let metrics = metrics();
    let pool = ConnectionPool::new(Share::Common, 4, Arc::clone(&metrics));
    let (mut quiet, mut flooded) = (Listener::of(&pool), Listener::of(&pool));
    quiet.connect().await;
    for _ in 0..10 {
        flooded.connect().await;
    }
    assert_eq!((quiet.open(), flooded.open()), (1, 3));
    // The new connection is accepted, although it came last.
    quiet.connect().await;
    assert_eq!((quiet.open(), flooded.open()), (2, 2));
    let text = metrics.text(std::time::Instant::now()).expect("text");
    for line in [
        r#"kubeipvs_http_connections{share="common"} 4"#,
        r#"kubeipvs_http_connections_limit{share="common"} 4"#,
        r#"kubeipvs_http_connections_displaced_total{share="common"} 8"#,
        r#"kubeipvs_http_connections{share="health"} 0"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn among_equally_full_listeners_the_oldest_connection_makes_room() {
    let pool = ConnectionPool::new(Share::Common, 2, metrics());
    let mut listeners: Vec<_> = (0..3).map(|_| Listener::of(&pool)).collect();
    for listener in &mut listeners {
        listener.connect().await;
    }
    let open: Vec<_> = listeners.iter_mut().map(Listener::open).collect();
    assert_eq!(open, [0, 1, 1]);
}

#[tokio::test]
async fn an_ended_connection_frees_its_place() {
    let pool = ConnectionPool::new(Share::Common, 1, metrics());
    let mut listener = Listener::of(&pool);
    for _ in 0..3 {
        listener.lane.spawn(&mut listener.tasks, async {}).await;
        listener
            .tasks
            .join_next()
            .await
            .expect("a task")
            .expect("no panic");
        assert_eq!(pool.0.permits.available_permits(), 1);
    }
    assert!(pool.lanes().open.values().all(BTreeMap::is_empty));
}

#[tokio::test]
async fn a_dropped_listener_frees_its_places() {
    let pool = ConnectionPool::new(Share::Common, 2, metrics());
    let mut listener = Listener::of(&pool);
    listener.connect().await;
    listener.connect().await;
    drop(listener);
    let mut next = Listener::of(&pool);
    next.connect().await;
    next.connect().await;
    assert_eq!(next.open(), 2);
    assert_eq!(pool.lanes().open.len(), 1);
}

#[test]
fn the_limit_follows_the_limit_of_descriptors() {
    let limits = |descriptors| Share::ALL.map(|share| share.limit(descriptors));
    assert_eq!(limits(0), [1, 1]);
    assert_eq!(limits(64), [8, 16]);
    assert_eq!(limits(1024), [128, 256]);
    assert_eq!(limits(1 << 20), [256, 1024]);
    assert_eq!(limits(u64::MAX), [256, 1024]);
}
