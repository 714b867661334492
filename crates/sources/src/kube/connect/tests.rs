use std::error::Error as _;
use std::fs;

use tempfile::TempDir;

use super::*;

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
    clusters: [{name: c, cluster: {server: 'http://10.0.0.1:8080/'}}, {name: d, cluster: {server: 'http://10.0.0.2:8080'}}]\n\
    users: [{name: u, user: {}}]\n\
    contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {cluster: d, user: u}}]\n";

fn kubeconfig(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary directory");
    let path = folder.path().join("config");
    fs::write(&path, text).expect("to write");
    (folder, path)
}

async fn check_error(path: &Path, context: Option<&str>, cause: &str) {
    let Err(error) = connect(Some(path), context).await else {
        panic!("no client can come of this");
    };
    assert_eq!(
        error.to_string(),
        format!("failed to use the kubeconfig {}", path.display())
    );
    let found = error.source().expect("a cause").to_string();
    assert!(found.contains(cause), "{found}");
}

#[tokio::test]
async fn a_kubeconfig_says_where_the_server_is() {
    let (_folder, path) = kubeconfig(KUBECONFIG);
    let server = |context| {
        let path = path.clone();
        async move {
            connect(Some(&path), context)
                .await
                .expect("a client")
                .server
        }
    };
    assert_eq!(server(None).await, "http://10.0.0.1:8080");
    assert_eq!(server(Some("b")).await, "http://10.0.0.2:8080");
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_named() {
    let (_folder, path) = kubeconfig(KUBECONFIG);
    check_error(&path, Some("none"), "none").await;
    check_error(Path::new("/nonexistent/config"), None, "No such file").await;
    let (_folder, path) = kubeconfig("clusters: [\n");
    check_error(&path, None, "YAML").await;
}

/// A server with a certificate that nothing here knows, and a proxy that is asked for the way to it.
#[tokio::test]
async fn a_proxy_of_the_kubeconfig_is_asked_for_the_way() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = proxy.local_addr().expect("an address");
    let with_proxy = KUBECONFIG.replace(
        "server: 'http://10.0.0.1:8080/'",
        &format!("server: 'https://api.example.com:6443', insecure-skip-tls-verify: true, proxy-url: 'http://{address}'"),
    );
    let (_folder, path) = kubeconfig(&with_proxy);
    let connection = connect(Some(&path), None).await.expect("a client");
    let asking = tokio::spawn(async move {
        let _ = connection
            .client
            .request_text(
                http::Request::get("/version")
                    .body(Vec::new())
                    .expect("a request"),
            )
            .await;
    });
    let (stream, _) = proxy.accept().await.expect("a connection");
    let mut line = String::new();
    let mut stream = BufReader::new(stream);
    stream.read_line(&mut line).await.expect("a line");
    assert_eq!(line, "CONNECT api.example.com:6443 HTTP/1.1\r\n");
    asking.abort();
}

#[tokio::test]
async fn a_proxy_that_is_no_url_is_named() {
    let text = KUBECONFIG.replace(
        "'http://10.0.0.1:8080/'",
        "'http://10.0.0.1:8080/', proxy-url: 'a b'",
    );
    let (_folder, path) = kubeconfig(&text);
    assert!(connect(Some(&path), None).await.is_err());
}
