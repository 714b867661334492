//! The server as `kubectl` sees it: versions 1.20 (Debian's package kubernetes-client) to 1.32.
//!
//! The program is `kubectl` of the PATH, or what the environment variable `KUBECTL` names.

use apiserver::{Server, ServerConfig};
use std::path::PathBuf;
use std::process::{Command, Output};

struct Kubectl {
    program: String,
    folder: tempfile::TempDir,
    _server: Server,
}

impl Kubectl {
    async fn new() -> Self {
        let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        let found = Command::new(&program)
            .args(["version", "--client"])
            .output();
        assert!(
            found.is_ok_and(|o| o.status.success()),
            "{program} does not run: install it with `apt-get install kubernetes-client`, or name one in KUBECTL"
        );
        let config = ServerConfig {
            tls: true,
            token: Some("secret".into()),
            ..ServerConfig::default()
        };
        let server = Server::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        server
            .kubeconfig()
            .write(&folder.path().join("config"))
            .unwrap();
        Self {
            program,
            folder,
            _server: server,
        }
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("object.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn output(&self, arguments: &str) -> Output {
        Command::new(&self.program)
            .args(arguments.split_whitespace())
            .env("KUBECONFIG", self.folder.path().join("config"))
            .env("HOME", self.folder.path())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn ok(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn refused(&self, arguments: &str, why: &str) {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains(why),
            "kubectl {arguments}: {errors}"
        );
    }
}

const WEB: &str = "apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, name: http}]}
";
const WEB_TWO_PORTS: &str = "apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, name: http, targetPort: 8080}, {port: 443, name: https}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_created_shown_changed_and_deleted() {
    let kubectl = Kubectl::new().await;
    let file = kubectl.file(WEB).display().to_string();
    assert!(
        kubectl
            .ok(&format!("create -f {file}"))
            .contains("service/web created")
    );
    kubectl.refused(&format!("create -f {file}"), "AlreadyExists");
    let table = kubectl.ok("get svc web");
    assert!(
        table.starts_with("NAME") && table.contains("CLUSTER-IP") && table.contains("80/TCP"),
        "{table}"
    );
    assert!(
        kubectl
            .ok("get svc,endpointslices,nodes,ns -A -o yaml")
            .contains("kind: EndpointSlice")
    );
    kubectl.ok("label svc web tier=front");
    assert!(
        kubectl
            .ok("get svc -l tier=front -o name")
            .contains("service/web")
    );
    kubectl.ok(r#"patch svc web -p {"spec":{"type":"NodePort"}}"#);
    assert!(
        kubectl.ok("get svc web").contains("80:3"),
        "a node port is shown"
    );
    kubectl.refused(
        r#"patch svc web --type=json -p [{"op":"replace","path":"/spec/clusterIP","value":"10.96.5.5"}]"#,
        "may not change once set",
    );
    kubectl.refused("get svc nothing", "services \"nothing\" not found");
    kubectl.ok("delete svc web");
    kubectl.refused("get svc web", "NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_both_ways() {
    let kubectl = Kubectl::new().await;
    let file = kubectl.file(WEB).display().to_string();
    kubectl.ok(&format!("apply -f {file}"));
    kubectl.file(WEB_TWO_PORTS);
    assert!(
        kubectl
            .ok(&format!("apply -f {file}"))
            .contains("configured")
    );
    assert!(
        kubectl
            .ok(&format!("apply -f {file}"))
            .contains("unchanged")
    );
    assert_eq!(
        kubectl.ok("get svc web -o jsonpath={.spec.ports[*].port}"),
        "80 443"
    );
    kubectl.file(WEB);
    kubectl.ok(&format!("apply -f {file}"));
    assert_eq!(
        kubectl.ok("get svc web -o jsonpath={.spec.ports[*].port}"),
        "80",
        "a port no longer applied goes"
    );
    kubectl.file(WEB_TWO_PORTS);
    kubectl.ok(&format!("apply --server-side --force-conflicts -f {file}"));
    assert_eq!(
        kubectl.ok("get svc web -o jsonpath={.spec.ports[*].port}"),
        "80 443"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_changes() {
    let kubectl = Kubectl::new().await;
    let file = kubectl.file(WEB).display().to_string();
    let mut watch = Command::new(&kubectl.program)
        .args(["get", "svc", "-w", "--no-headers", "--request-timeout=3s"])
        .env("KUBECONFIG", kubectl.folder.path().join("config"))
        .env("HOME", kubectl.folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    kubectl.ok(&format!("create -f {file}"));
    let mut printed = String::new();
    std::io::Read::read_to_string(&mut watch.stdout.take().unwrap(), &mut printed).unwrap();
    watch.wait().unwrap();
    assert!(
        printed.contains("kubernetes") && printed.contains("web"),
        "{printed}"
    );
}
