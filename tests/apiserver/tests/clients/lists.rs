use crate::{refused, server, service, services};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::ListParams;

#[tokio::test]
async fn pages_are_one_consistent_list() {
    let server = server().await;
    for at in 0..5 {
        server.put(service(&format!("s{at}"), 80)).unwrap();
    }
    let api = services(&server).await;
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    server.put(service("s2a", 80)).unwrap();
    server
        .delete(apiserver::Resource::Services, "default", "s4")
        .unwrap();
    let rest = api
        .list(&ListParams::default().limit(9).continue_token(&token))
        .await
        .unwrap();
    let names: Vec<_> = rest
        .items
        .iter()
        .map(|s| s.metadata.name.clone().unwrap())
        .collect();
    assert_eq!(names, ["s2", "s3", "s4"]);
    assert_eq!(
        rest.metadata.resource_version,
        first.metadata.resource_version
    );
    assert_eq!(rest.metadata.continue_, None);
}

#[tokio::test]
async fn page_from_before_a_compaction_is_expired() {
    let server = server().await;
    for at in 0..3 {
        server.put(service(&format!("s{at}"), 80)).unwrap();
    }
    let api = services(&server).await;
    let token = api
        .list(&ListParams::default().limit(1))
        .await
        .unwrap()
        .metadata
        .continue_
        .unwrap();
    server.put(service("s3", 80)).unwrap();
    server.compact();
    let rest = ListParams::default().continue_token(&token);
    refused(api.list(&rest).await, 410, "too old");
}

#[tokio::test]
async fn selectors_and_namespaces() {
    let server = server().await;
    for name in ["one", "two"] {
        server.put(service(name, 80)).unwrap();
    }
    let api = services(&server).await;
    let count = async |params: ListParams| api.list(&params).await.map(|l| l.items.len());
    let others = ListParams::default().labels("!service.kubernetes.io/service-proxy-name,!app");
    assert_eq!(count(others).await.unwrap(), 0);
    let fields = "metadata.name=two,metadata.namespace=default,spec.clusterIP!=None";
    let two = ListParams::default().fields(fields);
    assert_eq!(count(two).await.unwrap(), 1);
    let odd = ListParams::default().labels("app in (one)");
    refused(count(odd).await, 400, "unable to parse");
    let elsewhere: Api<Service> = Api::namespaced(api.into_client(), "kube-system");
    let found = elsewhere.list(&ListParams::default()).await.unwrap();
    assert_eq!(found.items.len(), 0);
}
