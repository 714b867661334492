//! The objects that concern a node.

use crate::objects::Metadata;

/// kube-proxy's label selector for Services, EndpointSlices and Endpoints: those that another proxy
/// serves, and headless ones that asked to be left alone, are none of ours. An API server applies it
/// to lists and watches; [`is_selected`] does the same for files.
pub const SELECTOR: &str =
    "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";

/// Returns true if an object matches [`SELECTOR`]: it has neither label, whatever their values.
#[must_use]
pub fn is_selected(meta: &Metadata) -> bool {
    !meta.labels.other_proxy && !meta.labels.headless
}
