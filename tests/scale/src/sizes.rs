//! Sizes of typical objects, measured as JSON and estimated as protobuf.

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::objects;

/// Bytes around an object in a line of a watch.
const FRAME: usize = r#"{"type":"MODIFIED","object":}"#.len() + 1;

/// Returns a table of the sizes of watch events, in bytes.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["watch event", "JSON", "protobuf, about"]);
    let mut row = |what: &str, mut object: Value| {
        object["metadata"]["resourceVersion"] = "1234567890".into();
        let json = object.to_string().len() + FRAME;
        let protobuf = protobuf(&object);
        table.add_row([what.to_owned(), json.to_string(), protobuf.to_string()]);
    };
    row("Service, one port", objects::service(1));
    for endpoints in [2, 10, 100] {
        let slice = objects::slice(1, endpoints, Some(1));
        row(&format!("EndpointSlice, {endpoints} endpoints"), slice);
    }
    row("Node, 50 images", objects::node(1, 1));
    table
}

/// Returns the approximate length of a value in Kubernetes' protobuf. Each field has a tag and
/// perhaps a length. Names of fields are not encoded, keys of maps are, and managed fields are JSON
/// too.
fn protobuf(value: &Value) -> usize {
    let with_length = |bytes: usize| 1 + if bytes < 128 { 1 } else { 2 } + bytes;
    match value {
        Value::Null => 0,
        Value::Bool(_) => 2,
        Value::Number(number) => {
            let bits = 64 - number.as_u64().unwrap_or_default().leading_zeros() as usize;
            1 + bits.div_ceil(7).max(1)
        }
        Value::String(text) => with_length(text.len()),
        Value::Array(all) => all.iter().map(protobuf).sum(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| match name.as_str() {
                "fieldsV1" => with_length(with_length(value.to_string().len())),
                "labels" | "annotations" | "selector" | "allocatable" | "capacity" => {
                    entries(value)
                }
                _ => protobuf(value),
            };
            with_length(fields.iter().map(field).sum())
        }
    }
}

/// Returns the length of a map, each entry of which is a message with a key and a value.
fn entries(map: &Value) -> usize {
    let Some(map) = map.as_object() else {
        return 0;
    };
    (map.iter())
        .map(|(key, value)| 2 + 2 + key.len() + protobuf(value))
        .sum()
}
