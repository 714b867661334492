use crate::{eventually, next, next_raw, server, service, services, until, watch_services};
use apiserver::{Resource, State};
use kube::api::WatchParams;
use kube::runtime::watcher::Config;
use serde_json::json;

#[tokio::test]
async fn watcher_gets_existing_objects_and_changes() {
    let server = server().await;
    server.put(service("one", 80)).unwrap();
    let mut watch = watch_services(services(&server).await, Config::default());
    assert_eq!(
        until(&mut watch, "init done").await,
        ["init", "init one", "init done"]
    );
    server.put(service("two", 80)).unwrap();
    assert_eq!(next(&mut watch).await, "apply two");
    server.put(service("two", 81)).unwrap();
    assert_eq!(next(&mut watch).await, "apply two");
    server.delete(Resource::Services, "default", "one").unwrap();
    assert_eq!(next(&mut watch).await, "delete one");
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark() {
    let server = server().await;
    for name in ["one", "two"] {
        server.put(service(name, 80)).unwrap();
    }
    let mut watch = watch_services(services(&server).await, Config::default().streaming_lists());
    assert_eq!(
        until(&mut watch, "init done").await,
        ["init", "init one", "init two", "init done"]
    );
    server.put(service("three", 80)).unwrap();
    assert_eq!(next(&mut watch).await, "apply three");
    let requests = server.requests();
    assert!(requests.iter().all(|r| r.verb == "watch"), "{requests:?}");
}

#[tokio::test]
async fn quiet_watch_gets_bookmarks_with_the_newest_revision() {
    let server = server().await;
    let api = services(&server).await;
    let mut watch = Box::pin(api.watch(&WatchParams::default(), "1").await.unwrap());
    let now = server.advance(1000);
    let mut seen = next_raw(&mut watch).await;
    while seen != format!("bookmark {now}") {
        assert!(seen.starts_with("bookmark"), "{seen}");
        seen = next_raw(&mut watch).await;
    }
}

#[tokio::test]
async fn a_watch_from_before_a_compaction_is_expired() {
    let server = server().await;
    let old = server.put(service("one", 80)).unwrap().revision;
    server.put(service("one", 81)).unwrap();
    server.compact();
    let api = services(&server).await;
    let mut watch = Box::pin(
        api.watch(&WatchParams::default(), &old.to_string())
            .await
            .unwrap(),
    );
    assert_eq!(next_raw(&mut watch).await, "410 Expired");
    assert_eq!(next_raw(&mut watch).await, "end");
}

#[tokio::test]
async fn a_watcher_recovers_from_compaction() {
    let server = server().await;
    server.put(service("one", 80)).unwrap();
    let mut watch = watch_services(services(&server).await, Config::default());
    until(&mut watch, "init done").await;
    // The watcher is disconnected while changes are made and compacted. It returns with an expired
    // revision.
    eventually("the watch is open", || server.open_watches() == 1).await;
    server.faults().delay(std::time::Duration::from_millis(300));
    server.faults().close_watches();
    server.put(service("two", 80)).unwrap();
    server.delete(Resource::Services, "default", "one").unwrap();
    server.compact();
    let seen = until(&mut watch, "init done").await;
    assert!(
        seen.iter().any(|e| e.contains("too old resource version")),
        "{seen:?}"
    );
    assert_eq!(
        seen[seen.len() - 3..],
        ["init", "init two", "init done"],
        "{seen:?}"
    );
}

#[tokio::test]
async fn object_that_stops_matching_is_deleted_from_the_watch() {
    let server = server().await;
    let api = services(&server).await;
    let labels = WatchParams::default()
        .labels("!service.kubernetes.io/service-proxy-name")
        .disable_bookmarks();
    let mut watch = Box::pin(api.watch(&labels, "0").await.unwrap());
    let mut object = service("one", 80);
    server.put(object.clone()).unwrap();
    assert_eq!(next_raw(&mut watch).await, "added one");
    object["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = json!("other");
    server.put(object.clone()).unwrap();
    assert_eq!(next_raw(&mut watch).await, "deleted one");
    object["spec"]["ports"][0]["port"] = json!(81);
    server.put(object.clone()).unwrap();
    object["metadata"]["labels"] = json!({});
    server.put(object).unwrap();
    assert_eq!(next_raw(&mut watch).await, "added one");
}

#[tokio::test]
async fn one_object_is_watched_by_a_field_selector() {
    let server = server().await;
    let api = services(&server).await;
    let one = WatchParams::default()
        .fields("metadata.name=one")
        .disable_bookmarks();
    let mut watch = Box::pin(api.watch(&one, "0").await.unwrap());
    server.put(service("two", 80)).unwrap();
    server.put(service("one", 80)).unwrap();
    assert_eq!(next_raw(&mut watch).await, "added one");
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout() {
    let server = server().await;
    let api = services(&server).await;
    let params = WatchParams::default().timeout(1).disable_bookmarks();
    let mut watch = Box::pin(api.watch(&params, "0").await.unwrap());
    assert_eq!(next_raw(&mut watch).await, "end");
    eventually("the watch is closed", || server.open_watches() == 0).await;
}

#[tokio::test]
async fn a_restart_keeps_state_and_revisions_and_expires_older_watches() {
    let server = server().await;
    let old = server.put(service("one", 80)).unwrap().revision;
    let new = server.put(service("two", 80)).unwrap().revision;
    server.down().await;
    assert!(
        std::net::TcpStream::connect(server.addr()).is_err(),
        "the port is closed while the server is down"
    );
    server.up(State::Kept).await.unwrap();
    assert_eq!(server.revision(), new);
    let api = services(&server).await;
    assert_eq!(
        api.list(&kube::api::ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    let mut watch = Box::pin(
        api.watch(&WatchParams::default(), &old.to_string())
            .await
            .unwrap(),
    );
    assert_eq!(next_raw(&mut watch).await, "410 Expired");
    let created = server.put(service("three", 80)).unwrap().revision;
    assert!(created > new, "revisions continue");
}

#[tokio::test]
async fn watcher_survives_a_restart_without_state() {
    let server = server().await;
    server.put(service("one", 80)).unwrap();
    server.put(service("two", 80)).unwrap();
    let mut watch = watch_services(services(&server).await, Config::default());
    until(&mut watch, "init done").await;
    server.down().await;
    server.up(State::Lost).await.unwrap();
    server.advance(100);
    server.compact();
    server.put(service("three", 80)).unwrap();
    let seen = until(&mut watch, "init done").await;
    assert_eq!(
        seen[seen.len() - 3..],
        ["init", "init three", "init done"],
        "{seen:?}"
    );
}
