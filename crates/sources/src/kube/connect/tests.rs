use std::error::Error as _;
use std::fs;
use std::process::Command;

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
        panic!("a client from an invalid kubeconfig");
    };
    assert_eq!(
        error.to_string(),
        format!("failed to use the kubeconfig {}", path.display())
    );
    let found = error.source().expect("a cause").to_string();
    assert!(found.contains(cause), "{found}");
}

#[tokio::test]
async fn the_context_of_a_kubeconfig_names_the_server() {
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
async fn errors_name_the_kubeconfig() {
    let (_folder, path) = kubeconfig(KUBECONFIG);
    check_error(&path, Some("none"), "none").await;
    check_error(Path::new("/nonexistent/config"), None, "No such file").await;
    let (_folder, path) = kubeconfig("clusters: [\n");
    check_error(&path, None, "YAML").await;
}

/// The server has an unknown certificate and is reached through a proxy.
#[tokio::test]
async fn the_proxy_of_the_kubeconfig_is_used() {
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
async fn an_invalid_proxy_url_is_an_error() {
    let text = KUBECONFIG.replace(
        "'http://10.0.0.1:8080/'",
        "'http://10.0.0.1:8080/', proxy-url: 'a b'",
    );
    let (_folder, path) = kubeconfig(&text);
    assert!(connect(Some(&path), None).await.is_err());
}

/// Runs the test `name` of this module in another process with `environment`.
fn check_with(environment: &[(&str, &str)], name: &str) {
    let program = std::env::current_exe().expect("a program");
    let path = module_path!().split_once("::").expect("a module").1;
    let ran = Command::new(program)
        .args(["--exact", &format!("{path}::{name}")])
        .envs(environment.iter().copied())
        .output()
        .expect("to run");
    let output = String::from_utf8_lossy(&ran.stdout);
    assert!(
        output.contains("1 passed"),
        "{environment:?} {name}: {output}"
    );
}

/// The client library refuses a `NO_PROXY` with an empty item, and a proxy without a scheme.
#[test]
fn the_environment_does_not_invalidate_a_kubeconfig() {
    for environment in [
        [
            ("HTTPS_PROXY", "http://127.0.0.1:9"),
            ("NO_PROXY", " a,,b, "),
        ],
        [("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", " ")],
        [("HTTPS_PROXY", "a b"), ("no_proxy", "example.com:x")],
    ] {
        check_with(&environment, "the_context_of_a_kubeconfig_names_the_server");
    }
}

/// client-go ignores both variables if the kubeconfig has a proxy.
#[test]
fn the_proxy_of_the_kubeconfig_precedes_the_environment() {
    check_with(
        &[("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "*,,")],
        "the_proxy_of_the_kubeconfig_is_used",
    );
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";

/// Returns the configuration of a kubeconfig with the YAML fields `cluster` and `user` of its
/// cluster and user.
fn read(cluster: &str, user: &str) -> Result<Config, KubeconfigError> {
    let text = format!(
        "current-context: a\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n"
    );
    kubeconfig::config(&Kubeconfig::from_yaml(&text).expect("a kubeconfig"), None)
}

#[test]
fn the_kubeconfig_configures_tls() {
    let (_folder, path) = kubeconfig(CERTIFICATE);
    let cluster = format!(
        "server: 'https://a', certificate-authority: '{}', tls-server-name: b, disable-compression: true",
        path.display()
    );
    let config = read(&cluster, "token: secret").expect("a configuration");
    assert_eq!(config.root_cert, Some(vec![vec![0, 1, 2]]));
    assert_eq!(config.tls_server_name.as_deref(), Some("b"));
    assert!(config.disable_compression && !config.accept_invalid_certs);
    assert!(config.auth_info.token.is_some());
    let config = read("server: 'https://a', insecure-skip-tls-verify: true", "");
    let config = config.expect("a configuration");
    assert!(config.accept_invalid_certs && config.root_cert.is_none());
}

#[test]
fn a_credential_command_gets_the_cluster_if_it_requires_it() {
    for (asks, server) in [("true", Some("https://a")), ("false", None)] {
        let user = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: c, provideClusterInfo: {asks}}}"
        );
        let config = read("server: 'https://a'", &user).expect("a configuration");
        let exec = config.auth_info.exec.expect("a command");
        let cluster = exec.cluster;
        assert_eq!(
            cluster.and_then(|cluster| cluster.server).as_deref(),
            server
        );
    }
}

#[test]
fn an_invalid_cluster_is_an_error() {
    for (cluster, expected) in [
        ("", "cluster url is missing"),
        ("server: 'a b'", "failed to parse cluster url"),
        (
            "server: 'https://a', certificate-authority: /nonexistent",
            "failed to load certificate authority",
        ),
        (
            "server: 'https://a', certificate-authority-data: '?'",
            "failed to load certificate authority",
        ),
    ] {
        let error = read(cluster, "").expect_err("no configuration").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let nothing = Kubeconfig::default();
    let error = kubeconfig::config(&nothing, None).expect_err("no configuration");
    assert!(matches!(error, KubeconfigError::CurrentContextNotSet));
}

/// Returns the environment of a process with the root directory `root`.
fn process_in(root: &Path, variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Environment::of_process(root.to_owned(), "/".into(), variables.collect())
}

fn write_below(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("to write");
}

#[test]
fn paths_of_a_kubeconfig_are_those_of_its_process() {
    let root = TempDir::new().expect("a temporary directory");
    let text = KUBECONFIG
        .replace(
            "server: 'http://10.0.0.1",
            "certificate-authority: /pki/ca.crt, server: 'http://10.0.0.1",
        )
        .replace("user: {}", "user: {tokenFile: token}");
    write_below(root.path(), "etc/kube/config", &text);
    let environment = process_in(root.path(), &[]);
    let read = kubeconfig::read(&environment, &["/etc/kube/config".into()]).expect("a kubeconfig");
    let cluster = read.clusters[0].cluster.clone().expect("a cluster");
    let user = read.auth_infos[0].auth_info.clone().expect("a user");
    let below = |path: &str| Some(root.path().join(path).display().to_string());
    assert_eq!(cluster.certificate_authority, below("pki/ca.crt"));
    assert_eq!(user.token_file, below("etc/kube/token"));
}

#[tokio::test]
async fn a_program_of_another_file_system_does_not_run() {
    let root = TempDir::new().expect("a temporary directory");
    let exec = "user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/token, interactiveMode: Never}}";
    let text = KUBECONFIG.replace("user: {}", exec);
    write_below(root.path(), "root/.kube/config", &text);
    let environment = process_in(root.path(), &[("HOME", "/root")]);
    let Err(error) = connect_in(&environment, None, None) else {
        panic!("a connection");
    };
    let expected = "the kubeconfig /root/.kube/config runs a program for its credentials, which this process cannot \
                    run: give a kubeconfig by --kubeconfig";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn service_account_of_another_pod_is_used() {
    let root = TempDir::new().expect("a temporary directory");
    let folder = "var/run/secrets/kubernetes.io/serviceaccount";
    write_below(root.path(), &format!("{folder}/ca.crt"), CERTIFICATE);
    write_below(root.path(), &format!("{folder}/token"), "secret");
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "fd00::1"),
        ("KUBERNETES_SERVICE_PORT", "6443"),
    ];
    let config = in_cluster::config(&process_in(root.path(), &variables)).expect("a configuration");
    assert_eq!(config.cluster_url.to_string(), "https://[fd00::1]:6443/");
    let token = root.path().join(folder).join("token");
    assert_eq!(
        config.auth_info.token_file,
        Some(token.display().to_string())
    );
    assert_eq!(
        config.root_cert.map(|certificates| certificates.len()),
        Some(1)
    );
    in_cluster::config(&process_in(root.path(), &[])).expect_err("no variables");
}

#[test]
fn an_unreadable_file_of_the_service_account_is_named() {
    let root = TempDir::new().expect("a temporary directory");
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ];
    let folder = "var/run/secrets/kubernetes.io/serviceaccount";
    for file in ["ca.crt", "token"] {
        let environment = process_in(root.path(), &variables);
        let error = in_cluster::config(&environment).expect_err("no file");
        let expected = format!("failed to read /{folder}/{file} of the pod's service account");
        assert_eq!(error.to_string(), expected);
        write_below(root.path(), &format!("{folder}/{file}"), CERTIFICATE);
    }
    in_cluster::config(&process_in(root.path(), &variables)).expect("a configuration");
}
