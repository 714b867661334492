//! The objects that concern a node: the selectors of kube-proxy 1.36.
//!
//! An API server applies them to lists and watches; [`is_service`] and [`is_slice`] do the same for files.

use crate::objects::Metadata;

/// Label selector for Services: those that another proxy serves are none of ours.
pub const SERVICES: &str = "!service.kubernetes.io/service-proxy-name";

/// Field selector for Services: headless ones have nothing that a node could serve.
pub const SERVICES_WITH_ADDRESSES: &str = "spec.clusterIP!=None";

/// Label selector for EndpointSlices and Endpoints: those of headless Services are of no use. Whoever serves the others is said by
/// their Service.
pub const SLICES: &str = "!service.kubernetes.io/headless";

/// Returns true if a Service matches [`SERVICES`], whatever the label's value.
#[must_use]
pub fn is_service(meta: &Metadata) -> bool {
    !meta.labels.other_proxy
}

/// Returns true if an EndpointSlice or Endpoints object matches [`SLICES`], whatever the label's value.
#[must_use]
pub fn is_slice(meta: &Metadata) -> bool {
    !meta.labels.headless
}
