//! Lists and watches one resource.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::WatchParams;
use kube::core::{Request, Status};
use serde_json::value::RawValue;

use super::answer::{self, EventKind, Incoming, WatchEvent};
use super::backoff::{Retries, random};
use super::list::Pages;
use super::problem::RequestError;
use super::resource::{self, Decoded, Memory, Selection, Watched};
use super::resource_sink::ResourceSink;
use super::settings::KubeSettings;
use crate::objects::LabelKeys;
use crate::sink::ReceiverGone;

/// Duration after which a watch counts as healthy and resets the back-off.
const HEALTHY_WATCH: Duration = Duration::from_secs(5);

/// Time since the last list after which the back-off of relists is reset, as in client-go's
/// reflector.
const RELIST_RESET_AFTER: Duration = Duration::from_secs(120);

/// Time after which a streamed list is tried again at a server that refused one.
const STREAM_AGAIN: Duration = Duration::from_secs(600);

/// Time limit of the request for the server's current version. If the server does not answer, the
/// next watch reports it.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);

/// Factor by which the page size is divided after a page that was too long.
const SHORTER: u32 = 8;

/// Watches one resource.
pub(super) struct Watcher<'a, K> {
    client: Client,
    server: &'a str,
    settings: &'a KubeSettings,
    sink: &'a mut ResourceSink,
    backoff: &'a mut Retries,
    relist: Retries,
    memory: Memory,
    labels: LabelKeys,
    /// Time at which the server refused to stream a list.
    refused: Option<Instant>,
    selection: Selection,
    page_size: u32,
    resource: PhantomData<K>,
}

/// Reason for the end of a watcher.
pub(super) enum Ended {
    ReceiverGone,
    /// The server has no such resource.
    NotServed(RequestError),
}

/// End of a watch that can be resumed.
enum Closed {
    /// The timeout of the watch expired, or the connection broke.
    ByServer,
    InSilence,
}

enum Stop {
    ReceiverGone,
    Failed(RequestError),
}

impl From<ReceiverGone> for Stop {
    fn from(_: ReceiverGone) -> Self {
        Self::ReceiverGone
    }
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        Self::Failed(error)
    }
}

/// The version up to which the state is known, and the open watch that continues from there, if
/// any.
struct Position {
    version: String,
    events: Option<Incoming>,
}

impl<'a, K: Watched> Watcher<'a, K> {
    pub(super) fn new(
        client: Client,
        server: &'a str,
        settings: &'a KubeSettings,
        sink: &'a mut ResourceSink,
        backoff: &'a mut Retries,
    ) -> Self {
        Self {
            client,
            server,
            settings,
            sink,
            backoff,
            relist: Retries::new(settings.relist),
            memory: Memory::default(),
            labels: settings.labels.clone(),
            refused: None,
            selection: K::selection(settings),
            page_size: settings.page_size,
            resource: PhantomData,
        }
    }

    /// Lists and watches until the receiver is dropped or the server does not serve the resource.
    pub(super) async fn run(mut self) -> Ended {
        loop {
            let started = Instant::now();
            let stop = match self.list().await {
                Ok(position) => self.follow(position).await,
                Err(stop) => Err(stop).or_else(|stop| match stop {
                    Stop::Failed(error) => Ok(("list", error)),
                    Stop::ReceiverGone => Err(ReceiverGone),
                }),
            };
            let Ok((verb, error)) = stop else {
                return Ended::ReceiverGone;
            };
            if error.is_gone() {
                tracing::debug!(
                    resource = K::PLURAL,
                    ?error,
                    "the known version is of no use any more: relisting"
                );
                if started.elapsed() >= RELIST_RESET_AFTER {
                    self.relist.reset();
                }
                self.relist.pause(None).await;
                continue;
            }
            if error.code() == Some(404) {
                return Ended::NotServed(error);
            }
            if self.fail(verb, &error).await.is_err() {
                return Ended::ReceiverGone;
            }
        }
    }

    /// Reports a failure and waits.
    async fn fail(&mut self, verb: &str, error: &RequestError) -> Result<(), ReceiverGone> {
        let problem = error.problem::<K>(verb, self.server);
        tracing::debug!(resource = K::PLURAL, %problem, "retrying");
        self.sink.trouble(problem).await?;
        self.backoff.pause(error.retry_after()).await;
        Ok(())
    }

    async fn list(&mut self) -> Result<Position, Stop> {
        let refused = (self.refused).is_some_and(|refused| refused.elapsed() < STREAM_AGAIN);
        let streamed = match self.settings.streaming_lists && !refused {
            true => self.list_by_stream().await.map(Some),
            false => Ok(None),
        };
        let position = match streamed {
            Ok(Some(position)) => position,
            Ok(None) => self.list_by_pages().await?,
            Err(Stop::Failed(error)) if error.is_refused() => {
                tracing::debug!(
                    resource = K::PLURAL,
                    ?error,
                    "the server does not stream lists: listing page by page"
                );
                self.refused = Some(Instant::now());
                self.list_by_pages().await?
            }
            Err(stop) => return Err(stop),
        };
        self.memory.end_list();
        self.sink.recovered().await?;
        Ok(position)
    }

    async fn list_by_pages(&mut self) -> Result<Position, Stop> {
        let client = self.client.clone();
        let mut pages = Pages::new::<K>(&client, self.settings, self.page_size);
        let mut started = false;
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => {
                    if matches!(error, RequestError::TooLong(_)) {
                        self.page_size = (self.page_size / SHORTER).max(1);
                    }
                    return Err(error.into());
                }
            };
            if !started {
                self.start_list().await?;
                started = true;
            }
            let arrived = Instant::now();
            for object in page {
                self.send(&object, resource::upsert::<K>, arrived).await?;
            }
        }
        self.selection.fields = pages.fields().cloned();
        let version = pages.version()?;
        self.end_list().await?;
        Ok(Position {
            version,
            events: None,
        })
    }

    async fn list_by_stream(&mut self) -> Result<Position, Stop> {
        let mut events = self.open("", true).await?;
        self.start_list().await?;
        let limit = self.settings.list_silence;
        loop {
            let WatchEvent { kind, object } = (events.next(limit).await)
                .map_err(|_| RequestError::ListWithoutEnd)?
                .ok_or(RequestError::CutShort)??;
            let arrived = events.arrived();
            match kind {
                EventKind::Added | EventKind::Modified => {
                    self.send(&object, resource::upsert::<K>, arrived).await?;
                }
                EventKind::Deleted => {
                    self.send(&object, resource::delete::<K>, arrived).await?;
                }
                EventKind::Bookmark => {
                    let bookmark = resource::metadata(&object);
                    if bookmark.annotations.initial_events_end {
                        let version = given(bookmark.resource_version);
                        let version = version.ok_or(RequestError::NoVersion)?;
                        self.end_list().await?;
                        return Ok(Position {
                            version,
                            events: Some(events),
                        });
                    }
                }
                EventKind::Error => return Err(refusal(&object).into()),
            }
        }
    }

    /// Watches from `position` on, over any number of connections, until a list is needed. Returns
    /// the error that needs it and the failed action.
    async fn follow(
        &mut self,
        mut position: Position,
    ) -> Result<(&'static str, RequestError), ReceiverGone> {
        // The first watch after a list by pages is not a restart.
        let mut watched = false;
        let mut was_away = false;
        loop {
            let events = match position.events.take() {
                Some(events) => events,
                None => match self.open(&position.version, false).await {
                    Ok(events) => {
                        if watched {
                            self.sink.watch_restarted();
                        } else {
                            self.sink.succeeded();
                        }
                        self.sink.recovered().await?;
                        // A server can lose state only during an outage.
                        if was_away && self.has_lost_state(&position.version).await {
                            return Ok(("watch", RequestError::StateLost));
                        }
                        was_away = false;
                        events
                    }
                    Err(error) if error.is_gone() || error.code() == Some(404) => {
                        return Ok(("watch", error));
                    }
                    Err(error) => {
                        was_away = true;
                        self.fail("watch", &error).await?;
                        continue;
                    }
                },
            };
            watched = true;
            let opened = Instant::now();
            let ended = self.take_all(events, &mut position.version).await;
            if opened.elapsed() >= HEALTHY_WATCH {
                self.backoff.reset();
            }
            match ended {
                Ok(Closed::ByServer) => self.backoff.pause(None).await,
                Ok(Closed::InSilence) => {
                    if self.has_lost_state(&position.version).await {
                        return Ok(("watch", RequestError::StateLost));
                    }
                    self.backoff.pause(None).await;
                }
                Err(Stop::ReceiverGone) => return Err(ReceiverGone),
                Err(Stop::Failed(error)) if error.needs_list() => return Ok(("watch", error)),
                Err(Stop::Failed(error)) => self.fail("watch", &error).await?,
            }
        }
    }

    /// Returns true if the server is behind `version`, for example after the restore of a backup. A
    /// watch from `version` would then miss all changes until the server reaches it again.
    async fn has_lost_state(&self, version: &str) -> bool {
        let mut pages = Pages::new::<K>(&self.client, self.settings, 1);
        let limit = self.settings.request_timeout.min(STATE_TIMEOUT);
        if RequestError::within(limit, pages.next()).await.is_err() {
            // The next watch reports the error.
            return false;
        }
        (pages.version()).is_ok_and(|current| is_before(&current, version))
    }

    /// Sends events until the watch ends or is silent for too long.
    async fn take_all(
        &mut self,
        mut events: Incoming,
        version: &mut String,
    ) -> Result<Closed, Stop> {
        let mut recorded = None;
        loop {
            let event = tokio::select! {
                event = events.next(self.settings.silence) => event,
                () = self.labels.changed(), if K::HAS_LABELS => {
                    return Err(RequestError::LabelsChanged.into());
                }
            };
            let Ok(event) = event else {
                tracing::debug!(
                    resource = K::PLURAL,
                    "the watch is silent: opening a new one"
                );
                return Ok(Closed::InSilence);
            };
            let WatchEvent { kind, object } = match event {
                Some(Ok(event)) => event,
                None => return Ok(Closed::ByServer),
                // The watch is resumed at its last version.
                Some(Err(RequestError::Broken(cause))) => {
                    tracing::debug!(resource = K::PLURAL, %cause, "the connection of the watch broke: opening a new one");
                    return Ok(Closed::ByServer);
                }
                Some(Err(error)) => return Err(error.into()),
            };
            let arrived = events.arrived();
            if kind != EventKind::Error && recorded != Some(arrived) {
                self.sink.succeeded();
                recorded = Some(arrived);
            }
            let next = match kind {
                EventKind::Added | EventKind::Modified => {
                    self.send(&object, resource::upsert::<K>, arrived).await?
                }
                EventKind::Deleted => self.send(&object, resource::delete::<K>, arrived).await?,
                EventKind::Bookmark => resource::metadata(&object).resource_version,
                EventKind::Error => return Err(refusal(&object).into()),
            };
            match given(next) {
                Some(next) if is_before(&next, version) => {
                    return Err(RequestError::StateLost.into());
                }
                Some(next) => *version = next,
                None if kind == EventKind::Bookmark => {}
                None => return Err(RequestError::NoVersion.into()),
            }
        }
    }

    async fn open(&self, version: &str, list: bool) -> Result<Incoming, RequestError> {
        let Selection { labels, fields, .. } = self.selection.clone();
        let most = match list {
            true => self.settings.list_timeout,
            false => self.settings.watch_timeout,
        };
        let full = most.as_secs().max(1);
        let seconds = full - random() % (full / 4 + 1);
        let params = WatchParams {
            label_selector: labels,
            field_selector: fields,
            timeout: u32::try_from(seconds).ok(),
            bookmarks: true,
            send_initial_events: list,
        };
        let request = Request::new(K::PATH).watch(&params, version)?;
        let asked = answer::ask(&self.client, request);
        let body = RequestError::within(self.settings.request_timeout, asked).await?;
        Ok(Incoming::new(body))
    }

    async fn end_list(&mut self) -> Result<(), Stop> {
        let judged = self.sink.list_done(K::KIND).await?;
        judged.map_err(|shrunk| RequestError::Shrunk(shrunk).into())
    }

    async fn start_list(&mut self) -> Result<(), ReceiverGone> {
        self.memory.start_list(self.labels.take());
        self.sink.list_started(K::KIND).await
    }

    /// Decodes `object`, sends its events and returns its version.
    async fn send(
        &mut self,
        object: &RawValue,
        decode: fn(&RawValue, &mut Memory) -> Decoded,
        arrived: Instant,
    ) -> Result<Option<String>, ReceiverGone> {
        let Decoded { events, version } = decode(object, &mut self.memory);
        for event in events {
            self.sink.cluster(event, arrived).await?;
        }
        Ok(version)
    }
}

/// Decodes the error of a watch event.
fn refusal(object: &RawValue) -> RequestError {
    match serde_json::from_str::<Status>(object.get()) {
        Ok(status) => RequestError::Server(Box::new(status)),
        Err(error) => RequestError::BadEvent(error.to_string()),
    }
}

/// Returns the resource version of an answer. An empty one or 0 counts as missing: a watch from
/// there could begin at any state.
pub(super) fn given(version: Option<String>) -> Option<String> {
    version.filter(|version| !matches!(version.as_str(), "" | "0"))
}

/// Returns true if version `next` is older than `known`. A server that has lost state, for example
/// after the restore of a backup, continues from an older version. Versions are numbers (KEP-5504);
/// other texts are not compared.
fn is_before(next: &str, known: &str) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    number(next)
        .zip(number(known))
        .is_some_and(|(next, known)| next < known)
}
