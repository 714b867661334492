use crate::{refused, server, service, services};
use apiserver::{Resource, TestServer};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

async fn default_services(server: &apiserver::Server) -> Api<Service> {
    Api::namespaced(services(server).await.into_client(), "default")
}

fn typed(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn objects_are_created_replaced_and_deleted() {
    let server = server().await;
    let api = default_services(&server).await;
    let post = PostParams::default();
    let mut web = typed(service("web", 80));
    let made = api.create(&post, &web).await.unwrap();
    assert_eq!(made.spec, web.spec);
    let again = api.create(&post, &web).await;
    refused(again, 409, "services \"web\" already exists");

    web.metadata.labels = None;
    let newer = api.replace("web", &post, &web).await.unwrap();
    assert_ne!(
        newer.metadata.resource_version,
        made.metadata.resource_version
    );
    assert_eq!(api.get("web").await.unwrap(), newer);

    api.delete("web", &DeleteParams::default()).await.unwrap();
    refused(api.get("web").await, 404, "services \"web\" not found");
    let again = api.delete("web", &DeleteParams::default()).await;
    refused(again, 404, "services \"web\" not found");
}

#[tokio::test]
async fn an_event_is_patched() {
    let server = server().await;
    let api: Api<Event> = Api::namespaced(services(&server).await.into_client(), "default");
    let params = PatchParams::default();
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}});
    let early = api.patch("node1.1", &params, &Patch::Merge(&series)).await;
    refused(early, 404, "events.events.k8s.io \"node1.1\" not found");
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "node1.1"}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Node", "name": "node1"}, "reason": "Synced", "action": "Sync", "note": "well",
        "type": "Normal", "reportingController": "kube-ipvs", "reportingInstance": "node1"
    }))
    .unwrap();
    api.create(&PostParams::default(), &event).await.unwrap();
    let patched = api.patch("node1.1", &params, &Patch::Merge(&series)).await;
    let patched = patched.unwrap();
    assert_eq!(patched.series.map(|series| series.count), Some(2));
    assert_eq!(patched.note.as_deref(), Some("well"));
    let other = api
        .patch("node1.1", &params, &Patch::Strategic(&series))
        .await;
    refused(other, 415, "application/merge-patch+json");
}

/// Checks answers that a real API server gives too.
#[tokio::test]
async fn test_server_answers_like_a_real_one() {
    let server = TestServer::start().await.unwrap();
    let (kind, namespace) = (Resource::Services, "default");
    let patch = json!({"metadata": {"labels": {"app": null, "x": "y"}}});
    let not_found = "services \"web\" not found";
    let early = server.patch(kind, namespace, "web", &patch).await;
    refused(early, 404, not_found);
    server.create(service("web", 80)).await.unwrap();
    let again = server.create(service("web", 80)).await;
    refused(again, 409, "services \"web\" already exists");
    server.patch(kind, namespace, "web", &patch).await.unwrap();
    let got = server.get(kind, namespace, "web").await.unwrap();
    assert_eq!(got["metadata"]["labels"], json!({"x": "y"}));
    server.delete(kind, namespace, "web").await.unwrap();
    let late = server.delete(kind, namespace, "web").await;
    refused(late, 404, not_found);
    refused(server.get(kind, namespace, "web").await, 404, not_found);
}

#[tokio::test]
async fn objects_of_manifests_are_stored_unchanged() {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objects.yaml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        server.load(&path)
    };
    load(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: node1}}\n\
         ---\n{apiVersion: v1, kind: Service, metadata: {name: odd}, spec: {ports: http}, status: {x: 1}}\n",
    )
    .unwrap();
    assert!(server.get(Resource::Nodes, "", "node1").is_some());
    let odd = server.get(Resource::Services, "default", "odd").unwrap();
    assert_eq!(odd.value["spec"], json!({"ports": "http"}));
    assert_eq!(odd.value["status"], json!({"x": 1}));
    let error = load("{apiVersion: v1, kind: Pod, metadata: {name: x}}").unwrap_err();
    assert!(error.to_string().contains("failed to load"), "{error}");
}
