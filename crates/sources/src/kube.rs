//! A Kubernetes API server as a source.
//!
//! Services, EndpointSlices and Nodes are listed, then watched.
//!
//! - Lists are streamed as watch events if the server supports it (KEP-3157), else read page by
//!   page, so that neither side holds all objects at once. Both are consistent reads and never go
//!   back in time.
//! - A watch that ends is resumed where it stopped. If the server has forgotten that version (410
//!   Gone), a new list begins.
//! - A watch that is silent for longer than the interval of bookmarks counts as dead and is resumed
//!   over a new connection. If the server has lost state meanwhile, a new list begins.
//! - Failures are retried for ever with back-off and jitter. Relists wait longer than watches,
//!   since all nodes need them at the same time.
//! - If a cluster does not serve `discovery.k8s.io/v1`, its Endpoints are watched.

mod answer;
mod backoff;
mod connect;
pub mod events;
mod list;
mod permissions;
mod problem;
mod requests;
mod resource;
mod resource_sink;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod watch;

use futures::future::join3;
use kube::Client;
use model::{ClusterEvent, ObjectKind};
use serde::Deserialize;

pub use self::connect::{ConfigOrigin, ConnectError, Connection, connect, connect_in};
pub use self::permissions::{PERMISSIONS, Permission};
pub use self::requests::{LATENCY_BUCKETS, Latencies, RequestCounts, RequestStats};
pub use self::server::ServerHost;
pub use self::settings::{KubeSettings, Nodes};
pub use model::BackoffSettings;

use self::backoff::Retries;
use self::problem::RequestError;
use self::resource::{Memory, Watched};
use self::resource_sink::ResourceSink;
use self::watch::{Ended, Watcher};
use crate::event::SourceProblem;
use crate::objects::{self, EndpointSlice, Endpoints, Node, Service};
use crate::pods::PodAddresses;
use crate::sink::EventSink;

/// API group and version of EndpointSlices.
const DISCOVERY: &str = "discovery.k8s.io/v1";

/// Names of the sources: one for each resource.
pub const SOURCES: [&str; 3] = [
    source_name(ObjectKind::Service),
    source_name(ObjectKind::EndpointSlice),
    source_name(ObjectKind::Node),
];

const fn source_name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Service => "services",
        ObjectKind::EndpointSlice => "endpointslices",
        ObjectKind::Node => "nodes",
        ObjectKind::VirtualServer => "virtualservers",
    }
}

/// Watches Services, EndpointSlices and Nodes until the receiver is dropped.
pub async fn run(connection: Connection, settings: KubeSettings, sink: EventSink) {
    let source = Source {
        connection,
        settings,
        sink,
    };
    let all = join3(
        source.watch_always::<Service>(),
        source.watch_endpoints(),
        source.watch_always::<Node>(),
    );
    tokio::select! {
        _ = all => {}
        () = source.sink.closed() => {}
    }
}

/// Lists Services, EndpointSlices and Nodes once, without retries.
///
/// # Errors
///
/// The first failed request, with the text that [`run`] would report.
pub async fn list_once(
    connection: &Connection,
    settings: &KubeSettings,
) -> Result<Vec<ClusterEvent>, SourceProblem> {
    let mut events = list_kind::<Service>(connection, settings).await?;
    let slices = serves_slices(&connection.client, settings)
        .await
        .map_err(|error| error.problem::<EndpointSlice>("discover", &connection.server))?;
    events.extend(match slices {
        true => list_kind::<EndpointSlice>(connection, settings).await?,
        false => list_kind::<Endpoints>(connection, settings).await?,
    });
    events.extend(list_kind::<Node>(connection, settings).await?);
    Ok(events)
}

/// Lists the endpoints in `namespace` once, without retries, and returns the pods that they name.
/// Pods of headless Services, which [`list_once`] leaves out, are included.
///
/// # Errors
///
/// As [`list_once`].
pub async fn list_pods(
    connection: &Connection,
    settings: &KubeSettings,
    namespace: &str,
) -> Result<PodAddresses, SourceProblem> {
    let slices = serves_slices(&connection.client, settings)
        .await
        .map_err(|error| error.problem::<EndpointSlice>("discover", &connection.server))?;
    match slices {
        true => pods_of::<EndpointSlice>(connection, settings, namespace).await,
        false => pods_of::<Endpoints>(connection, settings, namespace).await,
    }
}

async fn pods_of<K: Watched>(
    connection: &Connection,
    settings: &KubeSettings,
    namespace: &str,
) -> Result<PodAddresses, SourceProblem> {
    let selection = resource::in_namespace(namespace);
    let size = settings.page_size;
    let mut pages = list::Pages::selected::<K>(&connection.client, settings, size, selection);
    let mut pods = PodAddresses::default();
    while let Some(page) =
        (pages.next().await).map_err(|error| error.problem::<K>("list", &connection.server))?
    {
        for text in &page {
            match objects::decode::<K>(text.get()) {
                Ok(object) => pods.add(&object),
                Err(error) => {
                    let name = resource::metadata(text).object_name();
                    tracing::warn!(resource = K::PLURAL, object = %name, %error, "failed to decode an object: its pods are unknown");
                }
            }
        }
    }
    Ok(pods)
}

async fn list_kind<K: Watched>(
    connection: &Connection,
    settings: &KubeSettings,
) -> Result<Vec<ClusterEvent>, SourceProblem> {
    let mut memory = Memory::new(settings.labels.clone().take());
    let mut pages = list::Pages::new::<K>(&connection.client, settings, settings.page_size);
    let mut events = vec![ClusterEvent::ListStarted(K::KIND)];
    while let Some(page) =
        (pages.next().await).map_err(|error| error.problem::<K>("list", &connection.server))?
    {
        events.extend(
            page.iter()
                .flat_map(|object| resource::upsert::<K>(object, &mut memory).events),
        );
    }
    events.push(ClusterEvent::ListDone(K::KIND));
    Ok(events)
}

/// Returns true if the server has EndpointSlices, or if the user may not query it (403).
async fn serves_slices(client: &Client, settings: &KubeSettings) -> Result<bool, RequestError> {
    match RequestError::within(settings.request_timeout, resources(client)).await {
        Ok(list) => {
            Ok((list.resources.iter()).any(|resource| resource.name == EndpointSlice::PLURAL))
        }
        Err(error) if error.code() == Some(404) => Ok(false),
        Err(error) if error.code() == Some(403) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Resources of an API group (`APIResourceList`).
#[derive(Deserialize)]
struct Resources {
    resources: Vec<ResourceName>,
}

#[derive(Deserialize)]
struct ResourceName {
    name: String,
}

async fn resources(client: &Client) -> Result<Resources, RequestError> {
    let request = http::Request::get(format!("/apis/{DISCOVERY}"));
    let request = request.body(Vec::new()).map_err(kube::Error::HttpError)?;
    let body = answer::ask(client, request).await?;
    let text = answer::whole(body, answer::PAGE_LENGTH).await?;
    serde_json::from_slice(&text).map_err(|error| RequestError::BadAnswer(error.to_string()))
}

struct Source {
    connection: Connection,
    settings: KubeSettings,
    sink: EventSink,
}

impl Source {
    /// Watches resources that every API server has.
    async fn watch_always<K: Watched>(&self) {
        let mut sink = self.resource_sink(K::KIND);
        let mut backoff = Retries::new(self.settings.backoff);
        loop {
            match self.watch::<K>(&mut sink, &mut backoff).await {
                Ended::ReceiverGone => return,
                Ended::NotServed(error) => {
                    let problem = error.problem::<K>("list", &self.connection.server);
                    if sink.trouble(problem).await.is_err() {
                        return;
                    }
                    backoff.pause(None).await;
                }
            }
        }
    }

    /// Watches EndpointSlices, or Endpoints if the server has no EndpointSlices. If the server
    /// stops serving the resource, checks again which one it has.
    async fn watch_endpoints(&self) {
        let mut sink = self.resource_sink(ObjectKind::EndpointSlice);
        let mut backoff = Retries::new(self.settings.backoff);
        loop {
            let error = match serves_slices(&self.connection.client, &self.settings).await {
                Ok(slices) => {
                    let ended = if slices {
                        self.watch::<EndpointSlice>(&mut sink, &mut backoff).await
                    } else {
                        tracing::info!(server = %self.connection.server, "the API server has no {DISCOVERY}; watching Endpoints instead");
                        self.watch::<Endpoints>(&mut sink, &mut backoff).await
                    };
                    match ended {
                        Ended::ReceiverGone => return,
                        Ended::NotServed(error) => error,
                    }
                }
                Err(error) => error,
            };
            let problem = error.problem::<EndpointSlice>("discover", &self.connection.server);
            if sink.trouble(problem).await.is_err() {
                return;
            }
            backoff.pause(error.retry_after()).await;
        }
    }

    async fn watch<K: Watched>(&self, sink: &mut ResourceSink, backoff: &mut Retries) -> Ended {
        let Connection { client, server, .. } = &self.connection;
        Watcher::<K>::new(client.clone(), server, &self.settings, sink, backoff)
            .run()
            .await
    }

    fn resource_sink(&self, kind: ObjectKind) -> ResourceSink {
        let (sink, repeat) = (self.sink.clone(), self.settings.repeat_trouble);
        ResourceSink::new(kind, sink, repeat)
    }
}
