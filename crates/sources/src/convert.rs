//! Converts Kubernetes' typed objects to types of [`model::cluster`].
//!
//! - Every conversion is total. Invalid values are kept as text; the planner decides how to handle
//!   them.
//! - All text of an object, including names, becomes [`SafeText`]. This changes no name that
//!   Kubernetes allows, but files can contain any text.
//! - Defaults of the API server are filled in, so that an object from a file equals the same object
//!   from a watch.

mod address;
mod endpoints;
mod node;
mod service;
mod slice;
#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use ipvs::Protocol;
use model::{Name, Parsed, SafeText};

pub(crate) use self::address::parse_cidr;
pub use self::address::{cidr, ip};
pub use self::endpoints::endpoints;
pub use self::node::node;
pub use self::service::service;
pub use self::slice::slice;

/// Parses a protocol. The default is `TCP`, as in the API server.
fn protocol(text: Option<&str>) -> Parsed<Protocol> {
    match text.unwrap_or("TCP") {
        "TCP" | "" => Parsed::Valid(Protocol::Tcp),
        "UDP" => Parsed::Valid(Protocol::Udp),
        "SCTP" => Parsed::Valid(Protocol::Sctp),
        other => Parsed::Invalid(other.into()),
    }
}

fn port(number: i32) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

pub(crate) fn name(text: &str) -> Name {
    SafeText::new(text).into_name()
}
