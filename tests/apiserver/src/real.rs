//! A real `kube-apiserver` with its `etcd`, from the folder in `KUBEBUILDER_ASSETS` (the convention
//! of Kubernetes' own envtest).

use crate::kubeconfig::Kubeconfig;
use crate::server::State;
use crate::tls::Certificates;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[cfg(test)]
mod tests;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Two processes and their temporary folder. Dropping it ends both.
#[derive(Debug)]
pub struct RealServer {
    assets: PathBuf,
    plan: Plan,
    ca_pem: String,
    folder: tempfile::TempDir,
    processes: Mutex<Processes>,
}

#[derive(Debug, Default)]
struct Processes {
    etcd: Option<Child>,
    apiserver: Option<Child>,
}

/// Input of the two command lines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    folder: PathBuf,
    etcd_port: u16,
    port: u16,
    token: String,
}

impl RealServer {
    /// Starts both and waits for `/readyz`.
    ///
    /// # Errors
    /// When a binary is missing or does not become ready. The error has the end of its log.
    pub async fn start(assets: &Path) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let plan = Plan {
            folder: folder.path().to_owned(),
            etcd_port: free_port()?,
            port: free_port()?,
            token: "kube-ipvs-test-token".to_owned(),
        };
        let certificates = Certificates::new(HOST)?;
        let accounts = Certificates::new(HOST)?;
        let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content);
        write("tls.crt", &certificates.cert_pem)?;
        write("tls.key", &certificates.key_pem)?;
        write("sa.key", &accounts.key_pem)?;
        write("sa.pub", &accounts.public_key_pem)?;
        write(
            "tokens.csv",
            &format!("{},kube-ipvs,kube-ipvs,\"system:masters\"\n", plan.token),
        )?;
        let server = Self {
            assets: assets.to_owned(),
            plan,
            ca_pem: certificates.ca_pem,
            folder,
            processes: Mutex::default(),
        };
        server.up(State::Kept).await?;
        Ok(server)
    }

    /// Returns the kubeconfig for clients.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        Kubeconfig {
            url: format!("https://{HOST}:{}", self.plan.port),
            token: Some(self.plan.token.clone()),
            ca_pem: Some(self.ca_pem.clone()),
        }
    }

    /// Ends both processes.
    pub fn down(&self) {
        self.processes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .stop();
    }

    /// Starts both again, with or without etcd's data.
    ///
    /// # Errors
    /// As [`RealServer::start`].
    pub async fn up(&self, state: State) -> io::Result<()> {
        self.down();
        if state == State::Lost {
            match std::fs::remove_dir_all(self.folder.path().join("etcd")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let etcd = self.spawn("etcd", &self.plan.etcd_arguments())?;
        let apiserver = self.spawn("kube-apiserver", &self.plan.apiserver_arguments());
        let mut processes = Processes {
            etcd: Some(etcd),
            apiserver: None,
        };
        match apiserver {
            Ok(child) => processes.apiserver = Some(child),
            Err(error) => {
                processes.stop();
                return Err(error);
            }
        }
        *self
            .processes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = processes;
        self.wait_until_ready().await
    }

    fn spawn(&self, program: &str, arguments: &[String]) -> io::Result<Child> {
        let path = self.assets.join(program);
        let log = std::fs::File::create(self.folder.path().join(format!("{program}.log")))?;
        Command::new(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("failed to run {}: {e}", path.display())))
    }

    async fn wait_until_ready(&self) -> io::Result<()> {
        let client = self.kubeconfig().client().await.map_err(io::Error::other)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            let request = ::http::Request::get("/readyz")
                .body(Vec::new())
                .map_err(io::Error::other)?;
            if client
                .request_text(request)
                .await
                .is_ok_and(|text| text.trim() == "ok")
            {
                return Ok(());
            }
            if let Some(program) = self
                .processes
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .ended()
            {
                return Err(io::Error::other(format!(
                    "{program} ended: {}",
                    self.end_of_log(program)
                )));
            }
            sleep(Duration::from_millis(200)).await;
        }
        let log = self.end_of_log("kube-apiserver");
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("kube-apiserver is not ready: {log}"),
        ))
    }

    fn end_of_log(&self, program: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(format!("{program}.log")))
            .unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.down();
    }
}

impl Processes {
    /// Stops the API server first, so that it does not log errors about etcd.
    fn stop(&mut self) {
        for mut child in [self.apiserver.take(), self.etcd.take()]
            .into_iter()
            .flatten()
        {
            if let Err(error) = child.kill() {
                tracing::debug!(%error, "killing a child");
            }
            if let Err(error) = child.wait() {
                tracing::debug!(%error, "waiting for a child");
            }
        }
    }

    fn ended(&mut self) -> Option<&'static str> {
        let gone = |child: &mut Option<Child>| {
            child
                .as_mut()
                .is_some_and(|c| matches!(c.try_wait(), Ok(Some(_))))
        };
        if gone(&mut self.etcd) {
            return Some("etcd");
        }
        gone(&mut self.apiserver).then_some("kube-apiserver")
    }
}

impl Plan {
    fn etcd_arguments(&self) -> Vec<String> {
        let client = format!("http://{HOST}:{}", self.etcd_port);
        vec![
            format!("--data-dir={}", self.folder.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls=http://{HOST}:0"),
            "--unsafe-no-fsync=true".to_owned(),
        ]
    }

    fn apiserver_arguments(&self) -> Vec<String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        vec![
            format!("--etcd-servers=http://{HOST}:{}", self.etcd_port),
            format!("--bind-address={HOST}"),
            format!("--advertise-address={HOST}"),
            format!("--secure-port={}", self.port),
            format!("--cert-dir={}", file("certs")),
            format!("--tls-cert-file={}", file("tls.crt")),
            format!("--tls-private-key-file={}", file("tls.key")),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=AlwaysAllow".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("sa.pub")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            // An endpoint of default/kubernetes must not have a loopback address.
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112".to_owned(),
        ]
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((HOST, 0))?.local_addr()?.port())
}
