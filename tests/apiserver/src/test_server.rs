//! A server of either kind: in memory, or real if binaries exist.

use crate::config::ServerConfig;
use crate::kubeconfig::Kubeconfig;
use crate::real::RealServer;
use crate::resource::Resource;
use crate::server::{Server, State, place};
use ::http::Method;
use serde_json::Value;
use std::io;
use std::path::PathBuf;

/// Environment variable with the folder of real `kube-apiserver` and `etcd` binaries.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// A server for tests that apply to both kinds. All its objects are written over HTTP.
#[derive(Debug)]
pub enum TestServer {
    /// In memory.
    Memory(Server),
    /// Two real processes.
    Real(Box<RealServer>),
}

impl TestServer {
    /// Starts a server: a real one, with TLS and a token, if [`ASSETS`] is set.
    ///
    /// # Errors
    /// When the server does not become ready.
    pub async fn start() -> io::Result<Self> {
        match std::env::var_os(ASSETS) {
            Some(assets) => {
                let real = RealServer::start(&PathBuf::from(assets)).await?;
                Ok(Self::Real(Box::new(real)))
            }
            None => Ok(Self::Memory(Server::start(ServerConfig::default()).await?)),
        }
    }

    /// Returns the kubeconfig for clients.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        match self {
            Self::Memory(server) => server.kubeconfig(),
            Self::Real(server) => server.kubeconfig(),
        }
    }

    /// Refuses connections from now on.
    pub async fn down(&self) {
        match self {
            Self::Memory(server) => server.down().await,
            Self::Real(server) => server.down(),
        }
    }

    /// Serves again at the same port.
    ///
    /// # Errors
    /// When the server cannot start.
    pub async fn up(&self, state: State) -> io::Result<()> {
        match self {
            Self::Memory(server) => server.up(state).await,
            Self::Real(server) => server.up(state).await,
        }
    }

    /// Creates an object. Its namespace defaults to `default`.
    ///
    /// # Errors
    /// The error of the server.
    pub async fn create(&self, object: Value) -> Result<Value, kube::Error> {
        let (resource, key) =
            place(&object).map_err(|error| kube::Error::Service(Box::new(error)))?;
        let path = resource.path(&key.namespace, "");
        self.send(Method::POST, path, "application/json", &object)
            .await
    }

    /// Merges a patch (RFC 7386) into an object.
    ///
    /// # Errors
    /// The error of the server.
    pub async fn patch(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, kube::Error> {
        let path = resource.path(namespace, name);
        self.send(Method::PATCH, path, "application/merge-patch+json", patch)
            .await
    }

    /// Returns one object.
    ///
    /// # Errors
    /// 404 if it does not exist.
    pub async fn get(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value, kube::Error> {
        let path = resource.path(namespace, name);
        self.send(Method::GET, path, "application/json", &Value::Null)
            .await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// 404 if it does not exist.
    pub async fn delete(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
    ) -> Result<(), kube::Error> {
        let path = resource.path(namespace, name);
        self.send(Method::DELETE, path, "application/json", &Value::Null)
            .await
            .map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        content_type: &str,
        body: &Value,
    ) -> Result<Value, kube::Error> {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let request = ::http::Request::builder()
            .method(method)
            .uri(path)
            .header(::http::header::CONTENT_TYPE, content_type)
            .body(body)
            .map_err(kube::Error::HttpError)?;
        self.kubeconfig().client().await?.request(request).await
    }
}
