//! Reads answers of the API server with limits on their length, since a hostile server could send
//! endless ones.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::problem::RequestError;

/// Maximum length of a page of a list, bytes. A longer page is requested again with fewer objects.
pub(super) const PAGE_LENGTH: usize = 64 << 20;

/// Maximum length of one event of a watch, bytes. By default the largest object in etcd has 1.5
/// MiB.
const EVENT_LENGTH: usize = 16 << 20;

/// Maximum length of a refusal, bytes. Of a longer refusal only the status code is used.
const REFUSAL_LENGTH: usize = 64 << 10;

/// A page of a list. Each object is kept as text, so that an object that cannot be decoded does not
/// affect the others.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) metadata: PageMetadata,
    /// Objects. Go writes `null` for an empty list.
    #[serde(default)]
    pub(super) items: Option<Vec<Box<RawValue>>>,
}

/// Metadata of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageMetadata {
    pub(super) resource_version: Option<String>,
    #[serde(rename = "continue")]
    pub(super) more: Option<String>,
}

/// An event of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct WatchEvent {
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    pub(super) object: Box<RawValue>,
}

/// Kinds of watch events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// Sends `request` and returns the body of a successful answer.
pub(super) async fn ask(client: &Client, request: Request<Vec<u8>>) -> Result<Body, RequestError> {
    let answer = client.send(request.map(Body::from)).await?;
    let (head, body) = answer.into_parts();
    if head.status.is_success() {
        return Ok(body);
    }
    let text = whole(body, REFUSAL_LENGTH).await.unwrap_or_default();
    let status: Option<Status> = serde_json::from_slice(&text).ok();
    let mut status = status.unwrap_or_default();
    if status.code == 0 {
        status.code = head.status.as_u16();
    }
    if status.message.is_empty() && status.reason.is_empty() {
        let reason = head.status.canonical_reason().unwrap_or_default();
        reason.clone_into(&mut status.reason);
    }
    Err(RequestError::Server(Box::new(status)))
}

/// Reads a whole body.
///
/// # Errors
///
/// The body is longer than `limit`, or the connection breaks.
pub(super) async fn whole(mut body: Body, limit: usize) -> Result<Bytes, RequestError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if read.len() + data.len() > limit {
                return Err(RequestError::TooLong(limit));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

/// Events of a watch in the order of the server. Events that are already in the buffer, which is
/// most of a list, are returned without reading the clock.
pub(super) struct Incoming {
    body: Body,
    /// Received bytes that are not yet returned.
    received: BytesMut,
    /// Length of the start of `received` without a line break.
    searched: usize,
    arrived: Instant,
}

impl Incoming {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            received: BytesMut::new(),
            searched: 0,
            arrived: Instant::now(),
        }
    }

    /// Returns the time at which the last event arrived.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Returns the next event, or `None` at the end of the watch. The outer error means that no
    /// event was complete within `limit`.
    pub(super) async fn next(
        &mut self,
        limit: Duration,
    ) -> Result<Option<Result<WatchEvent, RequestError>>, Elapsed> {
        let line = match self.line() {
            Some(line) => Some(Ok(line)),
            None => {
                let line = timeout(limit, self.receive()).await?;
                self.arrived = Instant::now();
                line.transpose()
            }
        };
        Ok(line.map(|line| {
            serde_json::from_slice(&line?)
                .map_err(|error| RequestError::BadEvent(error.to_string()))
        }))
    }

    /// Takes the next received line. Blank lines are skipped.
    fn line(&mut self) -> Option<BytesMut> {
        loop {
            let rest = &self.received[self.searched..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.received.len();
                return None;
            };
            let line = self.received.split_to(self.searched + end + 1);
            self.searched = 0;
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    /// Receives until a line is complete. The end of the watch also ends a line.
    async fn receive(&mut self) -> Result<Option<BytesMut>, RequestError> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.received.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(RequestError::Broken(Box::new(error))),
                None => {
                    let rest = self.received.split();
                    self.searched = 0;
                    return Ok(Some(rest).filter(|rest| !rest.trim_ascii().is_empty()));
                }
            }
            if let Some(line) = self.line() {
                return Ok(Some(line));
            }
            if self.received.len() > EVENT_LENGTH {
                return Err(RequestError::TooLong(EVENT_LENGTH));
            }
        }
    }
}
