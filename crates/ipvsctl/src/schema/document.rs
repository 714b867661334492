//! Documents: the objects that commands print as JSON and YAML, and their JSON Schemas.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Value, json};

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

        /// Returns the kind and the JSON Schema of every document, ordered by kind.
        ///
        /// The schemas are of JSON Schema 2020-12.
        #[must_use]
        pub fn schemas() -> Vec<(&'static str, Value)> {
            let mut schemas = vec![$((<$document as Document>::KIND, of::<$document>())),*];
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

fn of<T: Document>() -> Value {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let mut schema: Schema = generator.into_root_schema_for::<T>();
    schema.insert(
        "$id".to_owned(),
        json!(format!("https://kube-ipvs.io/schemas/{}.json", T::KIND)),
    );
    schema.insert("title".to_owned(), json!(T::KIND));
    let mut schema = Value::from(schema);
    let fields = &mut schema["properties"];
    fields["apiVersion"]["const"] = json!(API_VERSION);
    fields["kind"]["const"] = json!(T::KIND);
    schema
}
