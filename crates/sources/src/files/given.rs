//! Objects as files give them.

use std::fmt;

use model::cluster::EndpointSlice;
use model::{Object, ObjectName};

/// The name of an object among all files: its kind and name. Prints as `Service default/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GivenKey {
    pub(super) kind: &'static str,
    pub(super) name: ObjectName,
}

impl fmt::Display for GivenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// An object as a type of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Object(Box<Object>),
    /// An Endpoints object: its slices.
    Endpoints(Vec<EndpointSlice>),
}
