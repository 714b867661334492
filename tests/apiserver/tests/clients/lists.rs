use crate::{refused, server, service, services};
use kube::api::{ListParams, VersionMatch};

#[tokio::test]
async fn pages_are_one_consistent_list() {
    let server = server().await;
    for at in 0..5 {
        server.create(service(&format!("s{at}"), 80)).unwrap();
    }
    let api = services(&server).await;
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    let token = first.metadata.continue_.clone().unwrap();
    server.create(service("s2a", 80)).unwrap();
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
async fn a_page_from_before_a_compaction_is_expired_and_offers_another_token() {
    let server = server().await;
    for at in 0..3 {
        server.create(service(&format!("s{at}"), 80)).unwrap();
    }
    let api = services(&server).await;
    let token = api
        .list(&ListParams::default().limit(1))
        .await
        .unwrap()
        .metadata
        .continue_
        .unwrap();
    server.create(service("s3", 80)).unwrap();
    server.compact();
    let Err(kube::Error::Api(status)) = api
        .list(&ListParams::default().continue_token(&token))
        .await
    else {
        panic!("an expired token is taken");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    let body = http_get(&server, &format!("/api/v1/services?continue={token}")).await;
    let other = body["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest = api
        .list(&ListParams::default().continue_token(&other))
        .await
        .unwrap();
    assert_eq!(rest.items.len(), 3);
}

#[tokio::test]
async fn revisions_of_lists() {
    let server = server().await;
    let first = server
        .create(service("s0", 80))
        .unwrap()
        .revision
        .to_string();
    server.create(service("s1", 80)).unwrap();
    let api = services(&server).await;
    let at = |version: &str, how| ListParams::default().at(version).matching(how);
    let count = async |params: ListParams| api.list(&params).await.map(|l| l.items.len());
    assert_eq!(count(at(&first, VersionMatch::Exact)).await.unwrap(), 1);
    assert_eq!(
        count(at(&first, VersionMatch::NotOlderThan)).await.unwrap(),
        2
    );
    // The client in between would try a 504 again for minutes.
    let ahead = http_get(&server, "/api/v1/services?resourceVersion=999999").await;
    assert_eq!(
        (&ahead["code"], &ahead["reason"]),
        (&serde_json::json!(504), &serde_json::json!("Timeout"))
    );
    assert!(
        ahead["message"]
            .as_str()
            .unwrap()
            .contains("Too large resource version: 999999"),
        "{ahead}"
    );
    server.compact();
    refused(count(at(&first, VersionMatch::Exact)).await, 410, "too old");
}

#[tokio::test]
async fn selectors_and_namespaces() {
    let server = server().await;
    for name in ["one", "two"] {
        server.create(service(name, 80)).unwrap();
    }
    let api = services(&server).await;
    let count = async |params: ListParams| api.list(&params).await.map(|l| l.items.len());
    assert_eq!(
        count(ListParams::default().labels("app in (one,three)"))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        count(ListParams::default().labels("app notin (one)"))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        count(ListParams::default().fields("metadata.name=two,metadata.namespace=default"))
            .await
            .unwrap(),
        1
    );
    refused(
        count(ListParams::default().fields("metadata.uid=1")).await,
        400,
        "field label not supported",
    );
    let elsewhere = http_get(&server, "/api/v1/namespaces/kube-system/services").await;
    assert_eq!(elsewhere["items"].as_array().unwrap().len(), 0);
}

async fn http_get(server: &apiserver::Server, path: &str) -> serde_json::Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}
