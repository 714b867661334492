use crate::{refused, server, service, services};
use apiserver::{Resource, TestServer};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

async fn default_services(server: &apiserver::Server) -> Api<Service> {
    Api::namespaced(services(server).await.into_client(), "default")
}

fn typed(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn create_update_and_conflict() {
    let server = server().await;
    let api = default_services(&server).await;
    let post = PostParams::default();
    let made = api.create(&post, &typed(service("web", 80))).await.unwrap();
    let spec = made.spec.clone().unwrap();
    assert!(
        spec.cluster_ip
            .as_deref()
            .is_some_and(|ip| ip.starts_with("10.96.")),
        "{spec:?}"
    );
    assert_eq!(
        spec.ports.as_ref().unwrap()[0].protocol.as_deref(),
        Some("TCP")
    );
    refused(
        api.create(&post, &typed(service("web", 80))).await,
        409,
        "services \"web\" already exists",
    );

    let mut newer = made.clone();
    newer.metadata.labels = None;
    let newer = api.replace("web", &post, &newer).await.unwrap();
    assert_ne!(
        newer.metadata.resource_version,
        made.metadata.resource_version
    );
    refused(
        api.replace("web", &post, &made).await,
        409,
        "the object has been modified",
    );
    let same = api.replace("web", &post, &newer).await.unwrap();
    assert_eq!(
        same.metadata.resource_version, newer.metadata.resource_version,
        "no change, no revision"
    );

    api.delete("web", &DeleteParams::default()).await.unwrap();
    refused(api.get("web").await, 404, "services \"web\" not found");
    refused(
        api.delete("web", &DeleteParams::default()).await,
        404,
        "services \"web\" not found",
    );
}

#[tokio::test]
async fn patches() {
    let server = server().await;
    let api = default_services(&server).await;
    api.create(&PostParams::default(), &typed(service("web", 80)))
        .await
        .unwrap();
    let params = PatchParams::default();
    let merged = api
        .patch(
            "web",
            &params,
            &Patch::Merge(json!({"metadata": {"labels": {"app": null, "x": "y"}}})),
        )
        .await
        .unwrap();
    assert_eq!(
        merged
            .metadata
            .labels
            .unwrap()
            .into_iter()
            .collect::<Vec<_>>(),
        [("x".to_owned(), "y".to_owned())]
    );
    refused(
        api.patch("web", &params, &Patch::Strategic(json!({})))
            .await,
        415,
        "application/merge-patch+json",
    );
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}});
    refused(
        api.patch_status("web", &params, &Patch::Merge(&status))
            .await,
        422,
        "LoadBalancer",
    );
    api.patch(
        "web",
        &params,
        &Patch::Merge(json!({"spec": {"type": "LoadBalancer"}})),
    )
    .await
    .unwrap();
    let with = api
        .patch_status("web", &params, &Patch::Merge(&status))
        .await
        .unwrap();
    let ingress = with.status.unwrap().load_balancer.unwrap().ingress.unwrap();
    assert_eq!(ingress[0].ip_mode.as_deref(), Some("VIP"));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let server = server().await;
    let api = default_services(&server).await;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let before = server.revision();
    api.create(&dry, &typed(service("web", 80))).await.unwrap();
    assert_eq!(server.revision(), before);
    refused(api.get("web").await, 404, "not found");
}

#[tokio::test]
async fn finalizers_hold_a_deletion() {
    let server = server().await;
    let api = default_services(&server).await;
    let mut object = service("web", 80);
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.create(object).unwrap();
    api.delete("web", &DeleteParams::default()).await.unwrap();
    assert!(
        api.get("web")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let free = json!({"metadata": {"finalizers": null}});
    api.patch("web", &PatchParams::default(), &Patch::Merge(free))
        .await
        .unwrap();
    refused(api.get("web").await, 404, "not found");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = server().await;
    for name in ["one", "two", "three"] {
        server.create(service(name, 80)).unwrap();
    }
    let api = default_services(&server).await;
    api.delete_collection(
        &DeleteParams::default(),
        &ListParams::default().labels("app!=two"),
    )
    .await
    .unwrap();
    let left = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 1);
}

/// These objects and refusals are the same with a real API server.
#[tokio::test]
async fn a_test_server_refuses_what_a_real_one_does() {
    let server = TestServer::start().await.unwrap();
    let code = |result: Result<Value, apiserver::RequestError>| result.err().and_then(|e| e.code());
    assert_eq!(code(server.create(service("web", 80)).await), None);
    assert_eq!(code(server.create(service("web", 80)).await), Some(409));
    assert_eq!(code(server.create(service("1web", 80)).await), Some(422));
    assert_eq!(code(server.create(service("zero", 0)).await), Some(422));
    let mut elsewhere = service("web", 80);
    elsewhere["metadata"]["namespace"] = json!("nowhere");
    assert_eq!(code(server.create(elsewhere).await), Some(404));
    let got = server
        .get(Resource::Services, "default", "web")
        .await
        .unwrap();
    let mut taken = service("other", 80);
    taken["spec"]["clusterIP"] = got["spec"]["clusterIP"].clone();
    assert_eq!(code(server.create(taken).await), Some(422));
    let patch = json!({"spec": {"clusterIP": "10.96.200.200"}});
    assert_eq!(
        code(
            server
                .patch(Resource::Services, "default", "web", &patch)
                .await
        ),
        Some(422)
    );
    server
        .delete(Resource::Services, "default", "web")
        .await
        .unwrap();
    assert_eq!(
        code(server.get(Resource::Services, "default", "web").await),
        Some(404)
    );
}

#[tokio::test]
async fn bad_objects_can_be_put_past_admission() {
    let server = server().await;
    let mut bad = service("web", 80);
    bad["spec"]["clusterIP"] = json!("not-an-address");
    assert_eq!(server.create(bad.clone()).unwrap_err().code, 422);
    server.insert_unchecked(bad).unwrap();
    let got = default_services(&server).await.get("web").await.unwrap();
    assert_eq!(
        got.spec.unwrap().cluster_ip.as_deref(),
        Some("not-an-address")
    );
}
