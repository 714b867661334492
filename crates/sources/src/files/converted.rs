//! Objects of files.

use std::fmt;

use model::cluster::EndpointSlice;
use model::{Object, ObjectName};

/// Key of an object among all files. Prints as `Service default/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConvertedKey {
    pub(super) kind: &'static str,
    pub(super) name: ObjectName,
}

impl fmt::Display for ConvertedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.is_virtual_server() {
            // The name contains the kind.
            true => write!(f, "{}", self.name),
            false => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// An object converted to types of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Converted {
    Object(Box<Object>),
    /// Slices of an Endpoints object.
    Endpoints(Vec<EndpointSlice>),
}
