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
