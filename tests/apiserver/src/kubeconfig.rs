//! Kubeconfig files for clients.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// Address and credentials of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// Base URL.
    pub url: String,
    /// Bearer token, if one is needed.
    pub token: Option<String>,
    /// Certificate authority to trust, if the URL is HTTPS.
    pub ca_pem: Option<String>,
}

impl Kubeconfig {
    /// Writes the file, readable only by its owner. It is JSON, which is valid YAML.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{:#}", self.to_value())
    }

    /// Returns a client of the server.
    ///
    /// # Errors
    /// When `kube` refuses the configuration.
    pub async fn client(&self) -> Result<kube::Client, kube::Error> {
        let infer = |e: kube::config::KubeconfigError| kube::Error::Service(Box::new(e));
        let config: kube::config::Kubeconfig =
            serde_json::from_value(self.to_value()).map_err(kube::Error::SerdeError)?;
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options)
            .await
            .map_err(infer)?;
        kube::Client::try_from(config)
    }

    fn to_value(&self) -> Value {
        let mut cluster = json!({"server": self.url});
        if let Some(pem) = &self.ca_pem {
            cluster["certificate-authority-data"] = json!(STANDARD.encode(pem));
        }
        let user = self
            .token
            .as_ref()
            .map_or_else(|| json!({}), |token| json!({"token": token}));
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        })
    }
}
