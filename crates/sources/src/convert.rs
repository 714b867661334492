//! Kubernetes' typed objects become the words of [`model::cluster`].
//!
//! Every conversion is total: what an object says wrongly is kept as text, and what to do about it is
//! the planner's decision. All text of an object, names too, becomes [`SafeText`] here: Kubernetes allows no name that this
//! changes, but files can hold any. Fields that an API server would have filled in are filled in, so that an
//! object from a file and the same object from a watch are equal.

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

/// `TCP` where the API server would have filled it in.
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
