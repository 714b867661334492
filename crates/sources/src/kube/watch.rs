//! One resource: list, watch, and again.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use model::ClusterEvent;

use super::backoff::{Backoff, random};
use super::incoming::Incoming;
use super::list::Pages;
use super::problem::RequestError;
use super::resource::{Memory, Watched};
use super::resource_sink::ResourceSink;
use super::settings::KubeSettings;
use crate::sink::ReceiverGone;

/// A watch that lasted this long was a good one: the next wait is a short one again.
const GOOD: Duration = Duration::from_secs(5);

/// A list that was followed this long had nothing to do with the trouble that leads to the next, as in
/// client-go's reflector.
const CALM: Duration = Duration::from_secs(120);

/// The annotation of the bookmark that ends a streamed list (KEP-3157).
const LIST_END: &str = "k8s.io/initial-events-end";

/// Watches one resource.
pub(super) struct Watcher<'a, K> {
    api: Api<K>,
    server: &'a str,
    settings: &'a KubeSettings,
    sink: &'a mut ResourceSink,
    backoff: &'a mut Backoff,
    relist: Backoff,
    memory: Memory,
    streaming: bool,
}

/// Why watching ended.
pub(super) enum Ended {
    ReceiverGone,
    /// The server has no such resource.
    NotServed(RequestError),
}

/// The end of a watch that may go on.
enum Closed {
    /// Time is up, or the connection broke.
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

/// Up to where the state is known, and the watch that goes on from there if one is open.
struct Position<K> {
    version: String,
    events: Option<Incoming<K>>,
}

impl<'a, K: Watched> Watcher<'a, K> {
    pub(super) fn new(
        api: Api<K>,
        server: &'a str,
        settings: &'a KubeSettings,
        sink: &'a mut ResourceSink,
        backoff: &'a mut Backoff,
    ) -> Self {
        Self {
            api,
            server,
            settings,
            sink,
            backoff,
            relist: Backoff::new(&settings.relist),
            memory: Memory::default(),
            streaming: settings.streaming_lists,
        }
    }

    /// Lists and watches until there is nobody to tell or nothing to watch.
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
                    "the server has forgotten: listing anew"
                );
                if started.elapsed() >= CALM {
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

    async fn list(&mut self) -> Result<Position<K>, Stop> {
        let position = if self.streaming {
            match self.list_by_stream().await {
                Err(Stop::Failed(error)) if error.is_refused() => {
                    tracing::debug!(
                        resource = K::PLURAL,
                        "no streamed lists: listing page by page"
                    );
                    self.streaming = false;
                    self.list_by_pages().await?
                }
                other => other?,
            }
        } else {
            self.list_by_pages().await?
        };
        self.sink.recovered().await?;
        Ok(position)
    }

    async fn list_by_pages(&mut self) -> Result<Position<K>, Stop> {
        let api = self.api.clone();
        let mut pages = Pages::new(&api, K::selection(self.settings), self.settings);
        let mut started = false;
        while let Some(page) = pages.next().await? {
            if !started {
                self.start_list().await?;
                started = true;
            }
            let arrived = Instant::now();
            for object in page {
                self.tell(object, K::upsert, arrived).await?;
            }
        }
        let version = pages.version()?;
        self.sink.list_done(K::KIND).await?;
        Ok(Position {
            version,
            events: None,
        })
    }

    async fn list_by_stream(&mut self) -> Result<Position<K>, Stop> {
        let mut events = self.open("", true).await?;
        self.start_list().await?;
        let limit = self.settings.list_silence;
        loop {
            let event = (events.next(limit).await)
                .map_err(|_| RequestError::ListWithoutEnd)?
                .ok_or(RequestError::CutShort)?
                .map_err(RequestError::from)?;
            let arrived = events.arrived();
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.tell(object, K::upsert, arrived).await?;
                }
                WatchEvent::Deleted(object) => self.tell(object, K::delete, arrived).await?,
                WatchEvent::Bookmark(bookmark) => {
                    if bookmark.metadata.annotations.contains_key(LIST_END) {
                        self.sink.list_done(K::KIND).await?;
                        return Ok(Position {
                            version: bookmark.metadata.resource_version,
                            events: Some(events),
                        });
                    }
                }
                WatchEvent::Error(status) => return Err(RequestError::Server(status).into()),
            }
        }
    }

    /// Watches from `position` on, over as many connections as it takes, until a list is needed again.
    /// Returns why, and what was tried.
    async fn follow(
        &mut self,
        mut position: Position<K>,
    ) -> Result<(&'static str, RequestError), ReceiverGone> {
        // A list by pages has no watch yet: the first one is no restart.
        let mut watched = false;
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
                        events
                    }
                    Err(error) if error.is_gone() || error.code() == Some(404) => {
                        return Ok(("watch", error));
                    }
                    Err(error) => {
                        self.fail("watch", &error).await?;
                        continue;
                    }
                },
            };
            watched = true;
            let opened = Instant::now();
            let ended = self.take_all(events, &mut position.version).await;
            if opened.elapsed() >= GOOD {
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

    /// Returns true if the server is behind `version`: then it was set back, as by a restored backup, and a watch from there says
    /// nothing of what happens before the server gets so far again.
    async fn has_lost_state(&self, version: &str) -> bool {
        let settings = KubeSettings {
            page_size: 1,
            ..self.settings.clone()
        };
        let mut pages = Pages::new(&self.api, K::selection(&settings), &settings);
        if pages.next().await.is_err() {
            // Opening the watch will tell what is wrong.
            return false;
        }
        let current = pages
            .version()
            .ok()
            .and_then(|version| version.parse::<u64>().ok());
        let known = version.parse::<u64>().ok();
        current
            .zip(known)
            .is_some_and(|(current, known)| current < known)
    }

    /// Takes events until the watch ends or is silent for too long.
    async fn take_all(
        &mut self,
        mut events: Incoming<K>,
        version: &mut String,
    ) -> Result<Closed, Stop> {
        loop {
            let Ok(event) = events.next(self.settings.silence).await else {
                tracing::debug!(
                    resource = K::PLURAL,
                    "the watch is silent: opening another one"
                );
                return Ok(Closed::InSilence);
            };
            let delivered =
                matches!(&event, Some(Ok(event)) if !matches!(event, WatchEvent::Error(_)));
            if delivered && events.is_last() {
                self.sink.succeeded();
            }
            match event {
                None => return Ok(Closed::ByServer),
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    let next = version_of(&object)?;
                    self.tell(object, K::upsert, events.arrived()).await?;
                    *version = next;
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    let next = version_of(&object)?;
                    self.tell(object, K::delete, events.arrived()).await?;
                    *version = next;
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    let next = bookmark.metadata.resource_version;
                    if !next.is_empty() {
                        *version = next;
                    }
                }
                Some(Ok(WatchEvent::Error(status))) => {
                    return Err(RequestError::Server(status).into());
                }
                // The connection broke; the watch goes on where it was.
                Some(Err(kube::Error::ReadEvents(cause))) => {
                    tracing::debug!(resource = K::PLURAL, %cause, "the watch broke");
                    return Ok(Closed::ByServer);
                }
                Some(Err(error)) => return Err(RequestError::from(error).into()),
            }
        }
    }

    async fn open(&self, version: &str, list: bool) -> Result<Incoming<K>, RequestError> {
        let selection = K::selection(self.settings);
        let most = match list {
            true => self.settings.list_timeout,
            false => self.settings.watch_timeout,
        };
        let full = most.as_secs().max(1);
        let seconds = full - random() % (full / 4 + 1);
        let params = WatchParams {
            label_selector: selection.labels,
            field_selector: selection.fields,
            timeout: u32::try_from(seconds).ok(),
            bookmarks: true,
            send_initial_events: list,
        };
        let asked = self.api.watch(&params, version);
        let events = RequestError::within(self.settings.request_timeout, asked).await?;
        Ok(Incoming::new(events))
    }

    async fn start_list(&mut self) -> Result<(), ReceiverGone> {
        self.memory = Memory::default();
        self.sink.list_started(K::KIND).await
    }

    /// Kubernetes' object ends here.
    async fn tell(
        &mut self,
        object: K,
        meaning: fn(K, &mut Memory) -> Vec<ClusterEvent>,
        arrived: Instant,
    ) -> Result<(), ReceiverGone> {
        for event in meaning(object, &mut self.memory) {
            self.sink.cluster(event, arrived).await?;
        }
        Ok(())
    }
}

fn version_of<K: Watched>(object: &K) -> Result<String, RequestError> {
    let version = object.meta().resource_version.clone();
    version
        .filter(|version| !version.is_empty())
        .ok_or(RequestError::NoVersion)
}
