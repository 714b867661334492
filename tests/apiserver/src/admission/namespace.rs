//! Namespaces: the finalizer, the phase, the label with the name.

use super::fields::map;
use crate::status::FieldError;
use serde_json::{Value, json};

pub(super) fn admit(new: &mut Value) -> Result<(), Vec<FieldError>> {
    let name = new["metadata"]["name"].clone();
    map(&mut new["metadata"]["labels"]).insert("kubernetes.io/metadata.name".into(), name);
    if new["spec"]["finalizers"].is_null() {
        new["spec"] = json!({"finalizers": ["kubernetes"]});
    }
    if new["status"]["phase"].is_null() {
        new["status"] = json!({"phase": "Active"});
    }
    Ok(())
}
