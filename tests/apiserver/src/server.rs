//! The listener, its connections, and the handle for tests.

use crate::cluster::Cluster;
use crate::config::ServerConfig;
use crate::faults::Faults;
use crate::http::handle;
use crate::kubeconfig::Kubeconfig;
use crate::object::{Key, Object};
use crate::resource::Resource;
use crate::status::ApiError;
use crate::store::Store;
use crate::tls::Tls;
use ::http::Uri;
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

/// Maximum number of remembered requests.
const REQUESTS_KEPT: usize = 10_000;

/// Maximum number of remembered events of each kind.
const HISTORY: usize = 100_000;

/// State of a server after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Everything is kept, as when only the API server restarts: objects and revisions stay,
    /// earlier watches are too old.
    #[default]
    Kept,
    /// Nothing is kept, as with a new etcd: revisions start again.
    Lost,
}

/// A received request, except those to `/faults`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `other`.
    pub verb: &'static str,
    /// Path and query.
    pub uri: Uri,
}

/// An API server in memory. Clones are handles of the same server, which runs until the last one is
/// dropped.
#[derive(Debug, Clone)]
pub struct Server {
    inner: Arc<Inner>,
    _stop: Arc<StopOnDrop>,
}

/// State that all requests share.
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

/// Counts an open watch until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenWatch(Arc<AtomicUsize>);

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// When the address cannot be bound or a certificate cannot be created.
    pub async fn start(config: ServerConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let tls = if config.tls {
            Some(Tls::new(addr.ip())?)
        } else {
            None
        };
        let inner = Arc::new(Inner {
            cluster: Cluster::new(store(&config)),
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

    /// Returns the base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.inner.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.inner.addr)
    }

    /// Returns the address that it listens at, which a restart does not change.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// Returns the kubeconfig for clients.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        Kubeconfig {
            url: self.url(),
            token: self.inner.config.token.clone(),
            ca_pem: self.inner.tls.as_ref().map(|t| t.ca_pem().to_owned()),
        }
    }

    /// Returns the switches for faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Refuses connections and closes existing ones. The port is closed when this returns.
    pub async fn down(&self) {
        self.inner.down().await;
    }

    /// Listens again at the same port.
    ///
    /// # Errors
    /// When another program has bound the port in the meantime.
    pub async fn up(&self, state: State) -> io::Result<()> {
        self.inner.up(state).await
    }

    /// Drops the history, so that older watches and continue tokens are answered 410. Returns the
    /// revision.
    pub fn compact(&self) -> u64 {
        self.inner.compact()
    }

    /// Returns the newest revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.cluster.store().revision()
    }

    /// Uses up revisions, as writes of kinds that are not watched do. Returns the newest.
    pub fn advance(&self, by: u64) -> u64 {
        let mut store = self.inner.cluster.store();
        store.advance(by);
        store.revision()
    }

    /// Returns the number of open watches.
    #[must_use]
    pub fn open_watches(&self) -> usize {
        self.inner.open_watches()
    }

    /// Returns the latest requests, oldest first, at most 10,000.
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

    /// Drops the remembered requests.
    pub fn clear_requests(&self) {
        self.inner
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Returns one object as it is stored.
    #[must_use]
    pub fn get(&self, resource: Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let key = Key::new(namespace, name);
        self.inner.cluster.store().get(resource, &key).cloned()
    }

    /// Stores an object unchanged, replacing an existing one. Its namespace defaults to `default`.
    ///
    /// # Errors
    /// When its `apiVersion` and `kind` are not served.
    pub fn put(&self, object: Value) -> Result<Arc<Object>, ApiError> {
        self.inner.put(object)
    }

    /// Deletes an object and returns its last version.
    #[must_use]
    pub fn delete(&self, resource: Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let key = Key::new(namespace, name);
        (self.inner.cluster).write(resource, |store| store.remove(resource, &key))
    }

    /// Stores the objects of a manifest (YAML or JSON, several documents, `List`s) unchanged.
    ///
    /// # Errors
    /// When the file cannot be read, or has an object of a kind that is not served.
    pub fn load(&self, path: &Path) -> Result<(), crate::LoadError> {
        crate::load::load(&self.inner, path)
    }
}

/// Returns the kind of an object and its key. A missing namespace is `default`.
pub(crate) fn place(object: &Value) -> Result<(Resource, Key), ApiError> {
    let resource = Resource::of(object).ok_or_else(|| {
        let (version, kind) = (&object["apiVersion"], &object["kind"]);
        ApiError::bad_request(format!("no such kind: {version} {kind}"))
    })?;
    let mut key = Key::of(object);
    if resource.is_namespaced() && key.namespace.is_empty() {
        key.namespace = "default".to_owned();
    }
    Ok((resource, key))
}

fn store(config: &ServerConfig) -> Store {
    Store::new(HISTORY, config.first_revision)
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
            // The listener and the connections are closed when the task has ended.
            let _ = task.await;
        }
    }

    async fn up(self: &Arc<Self>, state: State) -> io::Result<()> {
        self.down().await;
        match state {
            State::Kept => self.cluster.store().restart(),
            State::Lost => *self.cluster.store() = store(&self.config),
        }
        self.run(TcpListener::bind(self.addr).await?);
        Ok(())
    }

    /// Stops serving at once and resumes after `time`.
    pub(crate) fn down_for(self: &Arc<Self>, time: Duration, state: State) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            // Leaves time for the answer to the request that triggered this.
            tokio::time::sleep(Duration::from_millis(20)).await;
            inner.down().await;
            tokio::time::sleep(time).await;
            if let Err(error) = inner.up(state).await {
                tracing::error!(%error, addr = %inner.addr, "cannot listen again");
            }
        });
    }

    /// Stores an object unchanged.
    pub(crate) fn put(&self, mut object: Value) -> Result<Arc<Object>, ApiError> {
        let (resource, key) = place(&object)?;
        if resource.is_namespaced() {
            object["metadata"]["namespace"] = json!(key.namespace);
        }
        Ok((self.cluster).write(resource, |store| store.put(resource, object)))
    }

    /// Stores an object that must not exist yet.
    pub(crate) fn create(
        &self,
        resource: Resource,
        object: Value,
    ) -> Result<Arc<Object>, ApiError> {
        let key = Key::of(&object);
        self.cluster.write(resource, |store| {
            if store.get(resource, &key).is_some() {
                return Err(ApiError::already_exists(resource, &key.name));
            }
            Ok(store.put(resource, object))
        })
    }

    /// See [`Server::compact`].
    pub(crate) fn compact(&self) -> u64 {
        let mut store = self.cluster.store();
        let now = store.revision();
        store.compact(now);
        now
    }

    pub(crate) fn open_watch(&self) -> OpenWatch {
        self.watches.fetch_add(1, Ordering::Relaxed);
        OpenWatch(Arc::clone(&self.watches))
    }

    pub(crate) fn open_watches(&self) -> usize {
        self.watches.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, verb: &'static str, uri: &Uri) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == REQUESTS_KEPT {
            requests.pop_front();
        }
        requests.push_back(Recorded {
            verb,
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
    // Dropping this task drops the connections.
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
    // Small events of a watch must be sent at once.
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
