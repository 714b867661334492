//! The generic-netlink protocol of IPVS, family `IPVS`, version 1.
//!
//! A [`Message`] is a command and its attributes, as they are on the wire. The codec has every
//! command and attribute of `include/uapi/linux/ip_vs.h` up to Linux 7.0. It keeps any other
//! attribute as [`DefaultNla`](netlink_packet_core::DefaultNla). [`convert`] translates between
//! attributes and the types of this crate.

pub mod attributes;
pub mod convert;
mod fields;
mod message;
#[cfg(test)]
mod tests;

pub use attributes::{
    CommandAttribute, DaemonAttribute, DestinationAttribute, InfoAttribute, ServiceAttribute,
    StatisticsAttribute,
};
pub use message::{Attributes, Command, FAMILY_NAME, FAMILY_VERSION, Message};
