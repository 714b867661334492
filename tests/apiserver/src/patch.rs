//! The four kinds of patch.

mod apply;
mod merge;
mod strategic;
#[cfg(test)]
mod tests;

use crate::resource::Resource;
use crate::status::ApiError;
use serde_json::Value;

pub(crate) use apply::{Applier, apply};

/// A patch, by its content type.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' merge, where some lists are merged by a key.
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

impl Patch {
    /// Reads a patch from a request's body.
    pub(crate) fn parse(content_type: &str, body: &[u8]) -> Result<Self, ApiError> {
        let json = || -> Result<Value, ApiError> {
            serde_json::from_slice(body)
                .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))
        };
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => serde_json::from_slice(body)
                .map(Self::Json)
                .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}"))),
            "application/merge-patch+json" => json().map(Self::Merge),
            "application/strategic-merge-patch+json" => json().map(Self::Strategic),
            "application/apply-patch+yaml" => {
                let text = std::str::from_utf8(body)
                    .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
                serde_saphyr::from_str(text)
                    .map(Self::Apply)
                    .map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))
            }
            other => Err(ApiError::new(
                415,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: \
                     application/json-patch+json, application/merge-patch+json, \
                     application/strategic-merge-patch+json, application/apply-patch+yaml (got {other:?})"
                ),
            )),
        }
    }

    /// The patched object; server-side apply is done by [`apply`] instead.
    pub(crate) fn patch(&self, resource: Resource, old: &Value) -> Result<Value, ApiError> {
        let mut new = old.clone();
        match self {
            Self::Json(patch) => json_patch::patch(&mut new, patch).map_err(|e| {
                ApiError::new(
                    422,
                    "Invalid",
                    format!("the server rejected our request due to an error in our request: {e}"),
                )
            })?,
            Self::Merge(patch) => merge::merge(&mut new, patch),
            Self::Strategic(patch) => strategic::merge(resource, &mut new, patch)?,
            Self::Apply(_) => {
                return Err(ApiError::bad_request("an apply patch has no plain form"));
            }
        }
        Ok(new)
    }
}
