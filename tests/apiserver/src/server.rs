//! The listener, its connections, and the handle that tests hold.

use crate::cluster::{Cluster, DeleteOptions, WriteOptions};
use crate::config::ServerConfig;
use crate::faults::Faults;
use crate::http::handle;
use crate::kubeconfig::Kubeconfig;
use crate::object::{Key, Object};
use crate::resource::{Api, Resource};
use crate::status::ApiError;
use crate::tls::Tls;
use ::http::{Method, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Number of requests that are remembered.
const REQUESTS_KEPT: usize = 10_000;

/// The state of a server after it was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Everything, as when the API server restarts and etcd does not: objects and revisions stay, watches
    /// from before are too old.
    #[default]
    Kept,
    /// Nothing, as with a new etcd: revisions begin again.
    Lost,
}

/// A request that was made, faults and health checks apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
}

/// An API server in memory. Clones are handles of the same one; it runs until the last is dropped.
#[derive(Debug, Clone)]
pub struct Server {
    inner: Arc<Inner>,
    _stop: Arc<StopOnDrop>,
}

/// The state that requests work on.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: ServerConfig,
    pub(crate) cluster: Cluster,
    pub(crate) faults: Faults,
    addr: SocketAddr,
    tls: Option<Tls>,
    running: Mutex<Option<JoinHandle<()>>>,
    watches: Arc<AtomicUsize>,
    requests: Mutex<VecDeque<Recorded>>,
}

#[derive(Debug)]
struct StopOnDrop(Arc<Inner>);

/// Counts a watch as open while it lives.
#[derive(Debug)]
pub(crate) struct OpenWatch(Arc<AtomicUsize>);

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// Where the address cannot be listened at or a certificate cannot be made.
    pub async fn start(config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let tls = if config.tls {
            Some(Tls::new(addr.ip())?)
        } else {
            None
        };
        let inner = Arc::new(Inner {
            cluster: Cluster::new(&config),
            config,
            faults: Faults::default(),
            addr,
            tls,
            running: Mutex::new(None),
            watches: Arc::default(),
            requests: Mutex::default(),
        });
        inner.run(listener);
        Ok(Self {
            _stop: Arc::new(StopOnDrop(Arc::clone(&inner))),
            inner,
        })
    }

    /// The base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.inner.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.inner.addr)
    }

    /// Where it listens; the same after it was down.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// Returns the kubeconfig by which clients reach it.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        Kubeconfig {
            url: self.url(),
            token: self.inner.config.token.clone(),
            ca_pem: self.inner.tls.as_ref().map(|t| t.ca_pem().to_owned()),
        }
    }

    /// The fault knobs.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Refuses connections from now on and closes those that are; when this returns the port is closed.
    pub async fn down(&self) {
        self.inner.down().await;
    }

    /// Listens again at the same port.
    ///
    /// # Errors
    /// Where the port was taken by another in the meantime.
    pub async fn up(&self, state: State) -> io::Result<()> {
        self.inner.up(state).await
    }

    /// Forgets the history, so that older watches and continue tokens are 410; returns the revision.
    pub fn compact(&self) -> u64 {
        self.inner.cluster.compact()
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.cluster.revision()
    }

    /// Spends revisions, as writes of kinds that are not watched do; returns the newest.
    pub fn advance(&self, by: u64) -> u64 {
        self.inner.cluster.advance(by)
    }

    /// Returns the number of open watches.
    #[must_use]
    pub fn open_watches(&self) -> usize {
        self.inner.open_watches()
    }

    /// The latest requests, oldest first, at most 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.inner
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// Forgets the requests.
    pub fn clear_requests(&self) {
        self.inner
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// One object, as it is stored.
    #[must_use]
    pub fn get(&self, resource: Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.inner.cluster.get(resource, &Key::new(namespace, name))
    }

    /// Creates an object with all admission, without HTTP; its namespace defaults to `default`.
    ///
    /// # Errors
    /// As the API would refuse it.
    pub fn create(&self, object: Value) -> Result<Arc<Object>, ApiError> {
        let (api, key) = place(&object)?;
        self.inner
            .cluster
            .create(api, &key.namespace, object, WriteOptions::default())
    }

    /// Replaces an object with all admission, without HTTP.
    ///
    /// # Errors
    /// As the API would refuse it.
    pub fn update(&self, object: Value) -> Result<Arc<Object>, ApiError> {
        let (api, key) = place(&object)?;
        let not_found = || ApiError::not_found(api.group, api.plural, &key.name);
        let update = |old: Option<&Value>| old.map(|_| object).ok_or_else(not_found);
        Ok(self
            .inner
            .cluster
            .modify(api, &key, WriteOptions::default(), update)?
            .0)
    }

    /// Creates an object or replaces the one that is there, status included; fields that only a server
    /// sets (`uid`, `resourceVersion` and the like) are left out first.
    ///
    /// # Errors
    /// As the API would refuse it.
    pub fn put(&self, object: Value) -> Result<Arc<Object>, ApiError> {
        crate::load::put(&self.inner.cluster, object)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// 404 where there is none.
    pub fn delete(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Object>, ApiError> {
        self.inner.cluster.delete(
            resource.storage(),
            &Key::new(namespace, name),
            &DeleteOptions::default(),
        )
    }

    /// Stores an object as it is, past all admission: for tests of bad input that a real server would
    /// have refused. `uid` and `creationTimestamp` are set where they are missing.
    ///
    /// # Errors
    /// Only where its `apiVersion` and `kind` are not served.
    pub fn insert_unchecked(&self, object: Value) -> Result<Arc<Object>, ApiError> {
        self.inner.insert_unchecked(object)
    }

    /// Loads manifests (YAML or JSON, several documents, `List`s; a directory means the files in it)
    /// with all admission; what exists is replaced. Namespaces come first. Returns how many objects.
    ///
    /// # Errors
    /// The first file that cannot be read or object that is refused.
    pub fn load(&self, paths: &[impl AsRef<Path>]) -> Result<usize, crate::LoadError> {
        crate::load::load(&self.inner.cluster, paths)
    }
}

/// The API of an object and its key; a missing namespace is `default`.
pub(crate) fn place(object: &Value) -> Result<(&'static Api, Key), ApiError> {
    let api = Api::of(object).ok_or_else(|| {
        ApiError::bad_request(format!(
            "no such kind: {} {}",
            object["apiVersion"], object["kind"]
        ))
    })?;
    let mut key = Key::of(object);
    if api.namespaced && key.namespace.is_empty() {
        key.namespace = "default".to_owned();
    }
    Ok((api, key))
}

impl Inner {
    fn run(self: &Arc<Self>, listener: TcpListener) {
        let task = tokio::spawn(accept(Arc::downgrade(self), listener, self.tls.clone()));
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    fn take_task(&self) -> Option<JoinHandle<()>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    async fn down(&self) {
        if let Some(task) = self.take_task() {
            task.abort();
            // The listener and the connections are closed once the task is gone.
            let _ = task.await;
        }
    }

    async fn up(self: &Arc<Self>, state: State) -> io::Result<()> {
        self.down().await;
        match state {
            State::Kept => self.cluster.restart(),
            State::Lost => self.cluster.reset(),
        }
        self.run(TcpListener::bind(self.addr).await?);
        Ok(())
    }

    /// Goes down at once and comes back by itself.
    pub(crate) fn down_for(self: &Arc<Self>, time: Duration, state: State) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            // Time for the answer to the request that asked for this.
            tokio::time::sleep(Duration::from_millis(20)).await;
            inner.down().await;
            tokio::time::sleep(time).await;
            if let Err(error) = inner.up(state).await {
                tracing::error!(%error, addr = %inner.addr, "cannot listen again");
            }
        });
    }

    /// See [`Server::insert_unchecked`].
    pub(crate) fn insert_unchecked(&self, object: Value) -> Result<Arc<Object>, ApiError> {
        let (api, key) = place(&object)?;
        let mut object = api.decode(object);
        if api.namespaced {
            object["metadata"]["namespace"] = json!(key.namespace);
        }
        if object["metadata"]["uid"].is_null() {
            crate::cluster::stamp(&mut object);
        }
        Ok(self.cluster.insert_unchecked(api.resource, object))
    }

    pub(crate) fn open_watch(&self) -> OpenWatch {
        self.watches.fetch_add(1, Ordering::Relaxed);
        OpenWatch(Arc::clone(&self.watches))
    }

    pub(crate) fn open_watches(&self) -> usize {
        self.watches.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, verb: &'static str, method: &Method, uri: &Uri) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == REQUESTS_KEPT {
            requests.pop_front();
        }
        requests.push_back(Recorded {
            verb,
            method: method.clone(),
            uri: uri.clone(),
        });
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(task) = self.0.take_task() {
            task.abort();
        }
    }
}

async fn accept(server: std::sync::Weak<Inner>, listener: TcpListener, tls: Option<Tls>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Some(server) = server.upgrade() else { return };
                match accepted {
                    Ok((stream, _)) => drop(connections.spawn(connect(server, stream, tls.clone()))),
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(server: Arc<Inner>, stream: TcpStream, tls: Option<Tls>) {
    // A watch's small events are wanted at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY");
    }
    match tls {
        None => converse(server, stream).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => converse(server, stream).await,
            Err(error) => tracing::debug!(%error, "TLS handshake"),
        },
    }
}

async fn converse(server: Arc<Inner>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service =
        service_fn(move |request: ::http::Request<Incoming>| handle(Arc::clone(&server), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection");
    }
}
