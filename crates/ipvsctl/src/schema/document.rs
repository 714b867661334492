//! Documents: the objects that commands print as JSON and YAML. Their JSON Schemas, and that of the
//! VirtualServers that commands read.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Value, json};
use sources::virtual_server::{self, Manifest};

use super::{
    API_VERSION, AddressExplanation, Checkup, ConnectionList, ConnectionSummary, Drains, Findings,
    Migration, NodeTables, Plan, PodExplanation, ServiceExplanation, TableChange, Timeouts, Top,
    Trace,
};
use crate::commands::config::EffectiveConfiguration;
use crate::commands::version::Versions;

/// An object that a command prints, with the fields `apiVersion` and `kind`.
pub trait Document: Serialize + JsonSchema {
    /// Value of the field `kind`.
    const KIND: &'static str;
}

macro_rules! documents {
    ($($document:ident),* $(,)?) => {
        $(impl Document for $document {
            const KIND: &'static str = stringify!($document);
        })*

        /// Returns the kind and the JSON Schema of every document and of a VirtualServer, ordered by
        /// kind.
        ///
        /// The schemas are of JSON Schema 2020-12.
        #[must_use]
        pub fn schemas() -> Vec<(&'static str, Value)> {
            let mut schemas = vec![$((<$document as Document>::KIND, of_document::<$document>())),*];
            schemas.push((virtual_server::KIND, of_virtual_server()));
            schemas.sort_by_key(|(kind, _)| *kind);
            schemas
        }
    };
}

documents![
    AddressExplanation,
    Checkup,
    ConnectionList,
    ConnectionSummary,
    Drains,
    EffectiveConfiguration,
    Findings,
    Migration,
    NodeTables,
    Plan,
    PodExplanation,
    ServiceExplanation,
    TableChange,
    Timeouts,
    Top,
    Trace,
    Versions,
];

impl<T: Document> Document for &T {
    const KIND: &'static str = T::KIND;
}

fn of_document<T: Document>() -> Value {
    of::<T>(SchemaSettings::draft2020_12().for_serialize(), T::KIND)
}

fn of<T: JsonSchema>(settings: SchemaSettings, kind: &str) -> Value {
    let mut schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let id = format!("https://kube-ipvs.io/schemas/{kind}.json");
    schema.insert("$id".to_owned(), json!(id));
    schema.insert("title".to_owned(), json!(kind));
    let mut schema = Value::from(schema);
    let fields = &mut schema["properties"];
    fields["apiVersion"]["const"] = json!(API_VERSION);
    fields["kind"]["const"] = json!(kind);
    schema
}

/// Returns the schema of a VirtualServer in a file. It also describes which fields exclude each
/// other.
fn of_virtual_server() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = of::<Manifest>(settings, virtual_server::KIND);
    add_maximum(&mut schema);
    let absent = json!({"type": "null"});
    schema["$defs"]["Spec"]["oneOf"] = json!([
        {
            "description": "An address with a port.",
            "required": ["address", "port"],
            "properties": {
                "address": {"type": "string"},
                "port": {"type": "integer"},
                "fwmark": absent,
                "family": absent,
            },
        },
        {
            "description": "A firewall mark.",
            "required": ["fwmark"],
            "properties": {
                "fwmark": {"type": "integer"},
                "address": absent,
                "port": absent,
                "protocol": absent,
                "bind": {"enum": [false, null]},
            },
        },
    ]);
    schema
}

/// Adds the maximum of integers of 32 bits, which schemars leaves to their format.
fn add_maximum(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields
                .get("format")
                .is_some_and(|format| format == "uint32")
            {
                fields.insert("maximum".to_owned(), json!(u32::MAX));
            }
            fields.values_mut().for_each(add_maximum);
        }
        Value::Array(items) => items.iter_mut().for_each(add_maximum),
        _ => {}
    }
}
