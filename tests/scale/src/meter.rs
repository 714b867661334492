//! Counts requests of a client, and bytes and lines of their answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;

use crate::message::{Nanoseconds, now};

/// Resource of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Services,
    EndpointSlices,
    Nodes,
    /// Discovery.
    Other,
}

/// Kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// All objects: a page of a list, or a watch that begins with a list.
    List,
    /// Changes after a version.
    Watch,
    /// Discovery.
    Get,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Nanoseconds,
    pub(crate) resource: Resource,
    pub(crate) verb: Verb,
}

/// Received answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Received {
    /// Bytes of bodies, without the overhead of HTTP and TCP.
    pub(crate) bytes: u64,
    /// Number of lines: events and bookmarks of watches.
    pub(crate) lines: u64,
}

/// Counters of one client.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    asked: Mutex<Vec<Asked>>,
    received: [(AtomicU64, AtomicU64); 4],
}

impl Resource {
    /// Resources with objects.
    pub(crate) const ALL: [Self; 3] = [Self::Services, Self::EndpointSlices, Self::Nodes];

    /// Returns the plural name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Nodes => "nodes",
            Self::Other => "other",
        }
    }
}

impl Meter {
    /// Returns a client that counts and delegates to `client`.
    pub(crate) fn client(self: &Arc<Self>, client: Client) -> Client {
        let meter = Arc::clone(self);
        let send = move |request: Request<Body>| {
            let (meter, client) = (Arc::clone(&meter), client.clone());
            async move {
                let resource = meter.ask(request.uri());
                let response: Response<Body> = client.send(request).await?;
                let count = move |frame: http_body::Frame<bytes::Bytes>| {
                    if let Some(data) = frame.data_ref() {
                        meter.receive(resource, data);
                    }
                    frame
                };
                Ok::<_, kube::Error>(response.map(|body| body.map_frame(count)))
            }
        };
        Client::new(tower::service_fn(send), "default")
    }

    /// Returns all requests so far, oldest first.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// Returns the answers for `resource` so far.
    pub(crate) fn received(&self, resource: Resource) -> Received {
        let (bytes, lines) = &self.received[resource as usize];
        Received {
            bytes: bytes.load(Ordering::Relaxed),
            lines: lines.load(Ordering::Relaxed),
        }
    }

    fn ask(&self, uri: &Uri) -> Resource {
        let resource = (Resource::ALL.into_iter())
            .find(|resource| uri.path().ends_with(resource.name()))
            .unwrap_or(Resource::Other);
        let query = uri.query().unwrap_or_default();
        let verb = if resource == Resource::Other {
            Verb::Get
        } else if query.contains("watch=true") && !query.contains("sendInitialEvents=true") {
            Verb::Watch
        } else {
            Verb::List
        };
        let asked = Asked {
            at: now(),
            resource,
            verb,
        };
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(asked);
        resource
    }

    fn receive(&self, resource: Resource, data: &[u8]) {
        let (bytes, lines) = &self.received[resource as usize];
        bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        let ends = data.iter().filter(|byte| **byte == b'\n').count();
        lines.fetch_add(ends as u64, Ordering::Relaxed);
    }
}
