//! The form an answer is asked for in.

use crate::status::ApiError;

/// The form in which objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Whole objects.
    Whole,
    /// `meta.k8s.io` Table, for `kubectl get`; the version (`v1`, `v1beta1`) as asked.
    Table(&'static str),
    /// `meta.k8s.io/v1` PartialObjectMetadata.
    Metadata,
}

impl Form {
    /// The first form of an `Accept` header that this server can write.
    ///
    /// # Errors
    /// 406 where there is none.
    pub(super) fn negotiate(accept: &str) -> Result<Self, ApiError> {
        if accept.trim().is_empty() {
            return Ok(Self::Whole);
        }
        for choice in accept.split(',') {
            let mut parts = choice.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if !matches!(media, "application/json" | "application/*" | "*/*") {
                continue;
            }
            let parameters: Vec<&str> = parts.collect();
            let kind = parameters.iter().find_map(|p| p.strip_prefix("as="));
            let version = parameters.iter().find_map(|p| p.strip_prefix("v="));
            match kind {
                None => return Ok(Self::Whole),
                Some("Table") if version == Some("v1beta1") => return Ok(Self::Table("v1beta1")),
                Some("Table") => return Ok(Self::Table("v1")),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => {
                    return Ok(Self::Metadata);
                }
                Some(_) => {}
            }
        }
        Err(ApiError::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json",
        ))
    }
}
