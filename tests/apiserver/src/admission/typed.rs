//! Decoding into the real types, to refuse what the API server cannot decode.

use crate::resource::{Api, Resource};
use crate::status::ApiError;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::events::v1 as events;
use serde::Deserialize;
use serde_json::Value;

/// Refuses (400) an object with a field of a wrong type.
pub(crate) fn check_types(api: &Api, object: &Value) -> Result<(), ApiError> {
    match (api.resource, api.group) {
        (Resource::Namespaces, _) => decode::<core::Namespace>(object),
        (Resource::Nodes, _) => decode::<core::Node>(object),
        (Resource::Services, _) => decode::<core::Service>(object),
        (Resource::Endpoints, _) => decode::<core::Endpoints>(object),
        (Resource::EndpointSlices, _) => decode::<discovery::EndpointSlice>(object),
        (Resource::Events, "") => decode::<core::Event>(object),
        (Resource::Events, _) => decode::<events::Event>(object),
    }
    .map_err(|error| {
        ApiError::bad_request(format!(
            "{kind} in version \"v1\" cannot be handled as a {kind}: {error}",
            kind = api.kind
        ))
    })
}

fn decode<'a, T: Deserialize<'a>>(object: &'a Value) -> Result<(), serde_json::Error> {
    T::deserialize(object).map(drop)
}
