//! `/slowstarts`: the real servers in a slow start with their weights, as JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::names::ServicePortName;
use reconciler::{DrainKey, Ramp, Reconciler};
use serde::Serialize;

use super::owners_page::Key;
use super::status::time_of;
use super::{Document, Reply};
use crate::health::Moment;

/// The slow starts as they were last shown. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SlowStartsPage(Arc<RwLock<Arc<Shown>>>);

#[derive(Debug, Default)]
struct Shown {
    ramps: BTreeMap<DrainKey, Ramp>,
    /// Service port of each ramp.
    owners: Vec<Option<Arc<ServicePortName>>>,
}

/// Content of the page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    slow_starts: Vec<SlowStart>,
}

/// A real server in a slow start. Times are RFC 3339.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SlowStart {
    /// Key of the virtual server.
    key: Key,
    /// The virtual server, `10.96.0.10:80/TCP`.
    virtual_server: String,
    /// The real server, `10.1.2.3:8080`.
    real_server: String,
    /// Service port; `None` if it is unknown.
    service: Option<String>,
    /// Start.
    since: String,
    /// Time of the full weight.
    ends: String,
    /// Current step: the number of tenths of the full weight.
    step: u8,
    /// Current weight.
    weight: u32,
    /// Weight at the end.
    full_weight: u32,
}

impl SlowStartsPage {
    /// Shows the slow starts of `reconciler` from now on.
    pub fn show(&self, reconciler: &Reconciler) {
        let ramps = reconciler.ramps();
        let shown = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        if shown.ramps == *ramps {
            return;
        }
        let owners = &reconciler.desired().owners.virtual_servers;
        let owner = |(server, _): &DrainKey| owners.get(server).cloned();
        let shown = Shown {
            ramps: ramps.clone(),
            owners: ramps.keys().map(owner).collect(),
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
    }

    /// Returns the page.
    #[must_use]
    pub fn reply(&self, now: Moment) -> Reply {
        let shown = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let ramps = shown.ramps.iter().zip(&shown.owners);
        let slow_starts = ramps.map(|(((server, real), ramp), owner)| SlowStart {
            key: (*server).into(),
            virtual_server: server.to_string(),
            real_server: real.to_string(),
            service: owner.as_ref().map(ToString::to_string),
            since: time_of(ramp.since, now),
            ends: time_of(ramp.ends(), now),
            step: ramp.step.number(),
            weight: ramp.weight(),
            full_weight: ramp.full_weight,
        });
        let page = Page {
            slow_starts: slow_starts.collect(),
        };
        Reply::document(&Document::new("SlowStarts", &page))
    }
}
