//! Fields that can be wrong without harm to their neighbours.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A field as it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Field<T> {
    /// Not there, or null.
    #[default]
    Absent,
    /// Of the right type.
    Given(T),
    /// Of the wrong type.
    Wrong {
        /// Where inside the field; empty for the field itself.
        path: String,
        /// What is wrong.
        message: String,
    },
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_null() {
            return Ok(Self::Absent);
        }
        Ok(match serde_path_to_error::deserialize(value) {
            Ok(value) => Self::Given(value),
            Err(error) => Self::Wrong {
                path: match error.path().to_string().as_str() {
                    "." => String::new(),
                    path => path.to_owned(),
                },
                message: error.inner().to_string(),
            },
        })
    }
}

/// Fields that are not known, by name.
pub(super) type Unknown = BTreeMap<String, Value>;
