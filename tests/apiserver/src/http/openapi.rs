//! The least `/openapi/v2` that lets `kubectl` go on: a document without definitions, against which
//! it validates nothing by itself. The server validates.

use bytes::Bytes;
use serde_json::json;

/// The document, in JSON or in the protobuf that `kubectl` asks for.
pub(super) fn v2(accept: &str) -> (&'static str, Bytes) {
    if accept.contains("application/json") || !accept.contains("protobuf") {
        let info = json!({"title": "Kubernetes", "version": "v1.32.0"});
        let document = json!({"swagger": "2.0", "info": info, "paths": {}});
        return ("application/json", Bytes::from(document.to_string()));
    }
    // openapi.v2.Document {1: swagger, 2: Info {1: title, 2: version}, 8: Paths {}}
    let info = [field(1, b"Kubernetes"), field(2, b"v1.32.0")].concat();
    let document = [field(1, b"2.0"), field(2, &info), field(8, b"")].concat();
    (
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        Bytes::from(document),
    )
}

/// A length-delimited protobuf field of fewer than 128 bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap_or(0)];
    out.extend_from_slice(content);
    out
}
