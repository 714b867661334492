//! Labels of Services that policies of the configuration read.
//!
//! Most Services have labels that nobody reads, and tens of thousands of Services are kept. So only
//! labels with these names are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Name;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::convert::name;

/// Names of the labels that policies read. A change makes the sources list Services again.
#[derive(Clone, Debug)]
pub struct LabelKeys(watch::Receiver<Arc<BTreeSet<Name>>>);

impl Default for LabelKeys {
    fn default() -> Self {
        Self::fixed(BTreeSet::new())
    }
}

/// Equal if the names are equal now.
impl PartialEq for LabelKeys {
    fn eq(&self, other: &Self) -> bool {
        *self.0.borrow() == *other.0.borrow()
    }
}

impl Eq for LabelKeys {}

impl LabelKeys {
    /// Returns these names, which never change.
    #[must_use]
    pub fn fixed(keys: BTreeSet<Name>) -> Self {
        Self(watch::channel(Arc::new(keys)).1)
    }

    /// Returns the names that `keys` has.
    #[must_use]
    pub fn following(keys: watch::Receiver<Arc<BTreeSet<Name>>>) -> Self {
        Self(keys)
    }

    /// Returns the names, and counts them as seen by [`Self::changed`].
    pub(crate) fn take(&mut self) -> Arc<BTreeSet<Name>> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Waits until the names differ from those that were taken. Waits forever if they can no
    /// longer change. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Returns the labels with these names of an object in JSON. A label whose value is no text is left
/// out.
#[must_use]
pub fn labels(text: &str, keys: &BTreeSet<Name>) -> Box<[(Name, Name)]> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Object {
        metadata: Metadata,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Metadata {
        labels: BTreeMap<String, Value>,
    }

    if keys.is_empty() {
        return Box::default();
    }
    let object: Object = serde_json::from_str(text).unwrap_or_default();
    // Both maps are ordered by name, and so is the result.
    (object.metadata.labels.iter())
        .filter_map(|(key, value)| Some((keys.get(&**key)?.clone(), name(value.as_str()?))))
        .collect()
}

/// Returns all labels of an object in a file, of which a node has few.
#[must_use]
pub(crate) fn all_labels(object: &Value) -> Box<[(Name, Name)]> {
    let labels = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten();
    let mut all: Vec<_> = labels
        .filter_map(|(key, value)| Some((name(key), name(value.as_str()?))))
        .collect();
    all.sort();
    all.into()
}
