//! Documents about the server itself that the daemon requests.

use super::body::answer;
use crate::faults::FaultState;
use crate::http::Body;
use crate::status::ApiError;
use http::Response;
use serde_json::json;

/// Answers a path outside of the objects.
pub(super) fn serve(path: &str, faults: &FaultState) -> Result<Response<Body>, ApiError> {
    let document = match path {
        "/version" => json!({
            "major": "1", "minor": "32", "gitVersion": "v1.32.0", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2024-12-11T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
        }),
        "/apis/discovery.k8s.io/v1" if !faults.without_discovery_v1 => json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "discovery.k8s.io/v1",
            "resources": [{"name": "endpointslices", "singularName": "endpointslice", "namespaced": true,
                "kind": "EndpointSlice", "verbs": ["list", "watch"]}],
        }),
        _ => return Err(ApiError::no_such_path()),
    };
    Ok(answer(200, &document))
}
