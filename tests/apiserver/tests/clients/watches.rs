use crate::{eventually, next, next_raw, server, service, services, until, watch_services};
use apiserver::{Resource, State};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::WatchParams;
use kube::runtime::watcher::Config;
use serde_json::json;

#[tokio::test]
async fn a_watcher_sees_what_is_there_and_what_changes() {
    let server = server().await;
    server.create(service("one", 80)).unwrap();
    let mut watch = watch_services(services(&server).await, Config::default());
    assert_eq!(
        until(&mut watch, "init done").await,
        ["init", "init one", "init done"]
    );
    server.create(service("two", 80)).unwrap();
    assert_eq!(next(&mut watch).await, "apply two");
    server.update(service("two", 81)).unwrap();
    assert_eq!(next(&mut watch).await, "apply two");
    server.delete(Resource::Services, "default", "one").unwrap();
    assert_eq!(next(&mut watch).await, "delete one");
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark() {
    let server = server().await;
    for name in ["one", "two"] {
        server.create(service(name, 80)).unwrap();
    }
    let mut watch = watch_services(services(&server).await, Config::default().streaming_lists());
    assert_eq!(
        until(&mut watch, "init done").await,
        ["init", "init one", "init two", "init done"]
    );
    server.create(service("three", 80)).unwrap();
    assert_eq!(next(&mut watch).await, "apply three");
    let requests = server.requests();
    assert!(requests.iter().all(|r| r.verb == "watch"), "{requests:?}");
}

#[tokio::test]
async fn a_quiet_watch_gets_bookmarks_with_the_newest_revision() {
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
    let old = server.create(service("one", 80)).unwrap().revision;
    server.update(service("one", 81)).unwrap();
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
    server.create(service("one", 80)).unwrap();
    let mut watch = watch_services(services(&server).await, Config::default());
    until(&mut watch, "init done").await;
    // A watcher away while changes are made and compacted comes back to an expired revision.
    eventually("the watch is open", || server.open_watches() == 1).await;
    server.faults().delay(std::time::Duration::from_millis(300));
    server.faults().close_watches();
    server.create(service("two", 80)).unwrap();
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
async fn an_object_that_ceases_to_match_is_deleted_from_the_watch() {
    let server = server().await;
    let api = services(&server).await;
    let labels = WatchParams::default()
        .labels("!service.kubernetes.io/service-proxy-name")
        .disable_bookmarks();
    let mut watch = Box::pin(api.watch(&labels, "0").await.unwrap());
    let mut object = service("one", 80);
    server.create(object.clone()).unwrap();
    assert_eq!(next_raw(&mut watch).await, "added one");
    object["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = json!("other");
    server.update(object.clone()).unwrap();
    assert_eq!(next_raw(&mut watch).await, "deleted one");
    object["spec"]["ports"][0]["port"] = json!(81);
    server.update(object.clone()).unwrap();
    object["metadata"]["labels"] = json!({});
    server.update(object).unwrap();
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
    server.create(service("two", 80)).unwrap();
    server.create(service("one", 80)).unwrap();
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
    let old = server.create(service("one", 80)).unwrap().revision;
    let new = server.create(service("two", 80)).unwrap().revision;
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
    let created = server.create(service("three", 80)).unwrap().revision;
    assert!(created > new, "revisions go on");
}

#[tokio::test]
async fn a_watcher_lives_through_a_restart_without_state() {
    let server = server().await;
    server.create(service("one", 80)).unwrap();
    server.create(service("two", 80)).unwrap();
    let mut watch = watch_services(services(&server).await, Config::default());
    until(&mut watch, "init done").await;
    server.down().await;
    server.up(State::Lost).await.unwrap();
    server.advance(100);
    server.compact();
    server.create(service("three", 80)).unwrap();
    let seen = until(&mut watch, "init done").await;
    assert_eq!(
        seen[seen.len() - 3..],
        ["init", "init three", "init done"],
        "{seen:?}"
    );
}

#[tokio::test]
async fn events_have_two_spellings() {
    let server = server().await;
    let client = server.kubeconfig().client().await.unwrap();
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let event: Event = serde_json::from_value(json!({
        "metadata": {"generateName": "node-"}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Node", "name": "node1"}, "reason": "Synced", "action": "Sync", "note": "well",
        "type": "Normal", "reportingController": "kube-ipvs", "reportingInstance": "node1"
    }))
    .unwrap();
    let made = events
        .create(&kube::api::PostParams::default(), &event)
        .await
        .unwrap();
    assert_eq!(made.note.as_deref(), Some("well"));
    let name = made.metadata.name.unwrap();
    assert_eq!(name.len(), "node-".len() + 5);
    let core: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client, "default");
    let same = core.get(&name).await.unwrap();
    assert_eq!(
        (
            same.message.as_deref(),
            same.involved_object.name.as_deref()
        ),
        (Some("well"), Some("node1"))
    );
}

#[tokio::test]
async fn slices_are_watched_too() {
    let server = server().await;
    let api: Api<EndpointSlice> = Api::all(server.kubeconfig().client().await.unwrap());
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "web-1"},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]
    });
    server.create(slice.clone()).unwrap();
    let listed = api.list(&kube::api::ListParams::default()).await.unwrap();
    let port = &listed.items[0].ports.as_ref().unwrap()[0];
    assert_eq!(
        (port.name.as_deref(), port.protocol.as_deref()),
        (Some(""), Some("TCP"))
    );
    assert_eq!(listed.items[0].metadata.generation, Some(1));
}
