//! A server of either kind: in memory, or real where there is one.

use crate::config::ServerConfig;
use crate::kubeconfig::Kubeconfig;
use crate::real::RealServer;
use crate::resource::Resource;
use crate::server::{Server, State, place};
use crate::status::ApiError;
use ::http::Method;
use serde_json::Value;
use std::io;
use std::path::PathBuf;

/// The folder with real `kube-apiserver` and `etcd` binaries.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// A server for tests that hold for both kinds. All its objects go over HTTP.
#[derive(Debug)]
pub enum TestServer {
    /// In memory.
    Memory(Server),
    /// Two real processes.
    Real(Box<RealServer>),
}

/// Why a request of [`TestServer`] failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The object's kind is not served.
    #[error("the object has no known kind")]
    Kind(#[source] ApiError),
    /// The server refused, or could not be reached.
    #[error("{method} {path} failed")]
    Server {
        /// The HTTP method.
        method: Method,
        /// The path and query.
        path: String,
        /// The server's `Status` or the transport's error.
        source: Box<kube::Error>,
    },
}

impl RequestError {
    /// The HTTP code of the refusal, if the server answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Server { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Kind(_) => None,
        }
    }
}

impl TestServer {
    /// Starts one; a real one, with TLS and a token, if [`ASSETS`] is set.
    ///
    /// # Errors
    /// Where it does not come up.
    pub async fn start() -> io::Result<Self> {
        match std::env::var_os(ASSETS) {
            Some(assets) => {
                let real = RealServer::start(&PathBuf::from(assets)).await?;
                Ok(Self::Real(Box::new(real)))
            }
            None => Ok(Self::Memory(Server::start(ServerConfig::default()).await?)),
        }
    }

    /// Returns the kubeconfig by which clients reach it.
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

    /// Comes back at the same port.
    ///
    /// # Errors
    /// Where it cannot.
    pub async fn up(&self, state: State) -> io::Result<()> {
        match self {
            Self::Memory(server) => server.up(state).await,
            Self::Real(server) => server.up(state).await,
        }
    }

    /// Creates an object; its namespace defaults to `default`.
    ///
    /// # Errors
    /// As the server refuses it.
    pub async fn create(&self, object: Value) -> Result<Value, RequestError> {
        let (resource, key) = place(&object).map_err(RequestError::Kind)?;
        let path = resource.path(&key.namespace, "");
        self.send(Method::POST, path, "application/json", &object)
            .await
    }

    /// Merges a patch (RFC 7386) into an object.
    ///
    /// # Errors
    /// As the server refuses it.
    pub async fn patch(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, RequestError> {
        let path = resource.path(namespace, name);
        self.send(Method::PATCH, path, "application/merge-patch+json", patch)
            .await
    }

    /// One object.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn get(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value, RequestError> {
        let path = resource.path(namespace, name);
        self.send(Method::GET, path, "application/json", &Value::Null)
            .await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn delete(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
    ) -> Result<(), RequestError> {
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
    ) -> Result<Value, RequestError> {
        let failed = |e: kube::Error| RequestError::Server {
            method: method.clone(),
            path: path.clone(),
            source: Box::new(e),
        };
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let request = ::http::Request::builder()
            .method(&method)
            .uri(&path)
            .header(::http::header::CONTENT_TYPE, content_type)
            .body(body)
            .map_err(|e| failed(kube::Error::HttpError(e)))?;
        let client = self.kubeconfig().client().await.map_err(failed)?;
        client.request(request).await.map_err(failed)
    }
}
