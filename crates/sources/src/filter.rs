//! Selectors of the objects that a node needs, as in kube-proxy 1.36.
//!
//! An API server applies them to lists and watches. [`is_service`] and [`is_slice`] apply them to
//! files.

use crate::objects::Metadata;

/// Label selector for Services: excludes Services that another proxy serves.
pub const SERVICES: &str = "!service.kubernetes.io/service-proxy-name";

/// Field selector for Services: excludes headless Services, which a node does not serve.
pub const SERVICES_WITH_ADDRESSES: &str = "spec.clusterIP!=None";

/// Label selector for EndpointSlices and Endpoints: excludes those of headless Services. The
/// Service, not the slice, names another proxy.
pub const SLICES: &str = "!service.kubernetes.io/headless";

/// Returns true if a Service matches [`SERVICES`], whatever the label's value.
#[must_use]
pub fn is_service(meta: &Metadata) -> bool {
    !meta.labels.other_proxy
}

/// Returns true if an EndpointSlice or Endpoints object matches [`SLICES`], whatever the label's
/// value.
#[must_use]
pub fn is_slice(meta: &Metadata) -> bool {
    !meta.labels.headless
}
