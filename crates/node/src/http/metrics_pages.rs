//! The pages of the metrics server (`metricsBindAddress`).

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use model::config::ExternalIpPolicy;
use sources::config::Resolved;
use tokio::sync::watch;

use super::flagz::{self, Flags};
use super::owners_page::OwnersPage;
use super::slow_starts_page::SlowStartsPage;
use super::status::Status;
use super::{Document, Handler, NOSNIFF, Reply, Request, changes_page};
use crate::change_log::ChangeLog;
use crate::health::{Health, Moment};
use crate::metrics::{CONTENT_TYPE as METRICS, HealthPage, Metrics};
use crate::probes::Checks;

/// Contents of the pages.
#[derive(Clone, Debug)]
pub struct Pages {
    /// `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The health of the loop and the state of the sources, for `/metrics` and `/statusz`.
    pub health: Arc<Mutex<Health>>,
    /// `/statusz` and `/drains`.
    pub status: Arc<RwLock<Status>>,
    /// `/changes`.
    pub changes: ChangeLog,
    /// `/owners`.
    pub owners: OwnersPage,
    /// `/healthchecks`.
    pub checks: Checks,
    /// `/slowstarts`.
    pub slow_starts: SlowStartsPage,
    /// `/configz`: the configuration in force.
    pub config: watch::Receiver<Arc<Resolved>>,
    /// `/flagz`: the command line.
    pub flags: Arc<Flags>,
}

/// Answers `/metrics`, `/metrics/slis`, `/healthz`, `/livez`, `/proxyMode`, `/configz`, `/flagz`,
/// `/statusz`, `/drains`, `/changes`, `/owners`, `/healthchecks` and `/slowstarts`.
#[must_use]
pub fn handler(pages: Pages) -> Handler {
    Arc::new(move |request| pages.reply(request))
}

impl Pages {
    fn reply(&self, request: &Request<'_>) -> Reply {
        match request.path {
            "/metrics" => self.metrics(),
            "/metrics/slis" => {
                let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
                exposition(self.metrics.slis_text(&health, Moment::now()))
            }
            "/healthz" => self.ping(HealthPage::Healthz),
            "/livez" => self.ping(HealthPage::Livez),
            "/proxyMode" => Reply::text(StatusCode::OK, "ipvs"),
            "/configz" => Reply::json(StatusCode::OK, self.config.borrow().configz().to_string()),
            "/flagz" => Reply::text(StatusCode::OK, flagz::page(&self.flags)),
            "/statusz" => self.status(request.query),
            "/drains" => {
                let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
                Reply::document(&status.drains)
            }
            "/changes" => self.changes(request.query),
            "/owners" => self.owners.reply(),
            "/healthchecks" => Reply::document(&Document::new("HealthChecks", &self.checks.page())),
            "/slowstarts" => self.slow_starts.reply(Moment::now()),
            _ => Reply::not_found(),
        }
    }

    fn changes(&self, query: &str) -> Reply {
        let status = self.status.read().unwrap_or_else(PoisonError::into_inner);
        let (node_name, started) = (status.node_name.clone(), status.started.clone());
        drop(status);
        changes_page::reply(&self.changes, &node_name, &started, query)
    }

    fn metrics(&self) -> Reply {
        let now = Instant::now();
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        self.metrics.health(&health, now);
        drop(health);
        let external_ips = &self.config.borrow().node.external_ips;
        (self.metrics).features(*external_ips != ExternalIpPolicy::Deny);
        exposition(self.metrics.text(now))
    }

    /// Answers `ok`.
    fn ping(&self, page: HealthPage) -> Reply {
        self.metrics.pinged(page);
        Reply::text(StatusCode::OK, "ok")
    }

    fn status(&self, query: &str) -> Reply {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = health.sources();
        drop(health);
        let mut status = (self.status.read())
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        status.sources = sources;
        if query.split('&').any(|pair| pair == "format=json") {
            Reply::document(&Document::new("DaemonStatus", &status))
        } else {
            Reply::text(StatusCode::OK, status.to_string())
        }
    }
}

fn exposition(text: Result<String, impl std::fmt::Display>) -> Reply {
    match text {
        Ok(text) => Reply {
            status: StatusCode::OK,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(METRICS)), NOSNIFF],
            body: text,
        },
        Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
