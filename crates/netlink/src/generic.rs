//! Families of generic netlink, which are known by name and have numbers that differ between boots.

#[cfg(test)]
mod tests;

use netlink_packet_core::{DecodeError, NlaBuffer, NlasIterator, parse_u16};
use netlink_packet_generic::constants::{CTRL_ATTR_FAMILY_ID, GENL_HDRLEN};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlHeader, GenlMessage};

use crate::connection::Connection;
use crate::error::DumpError;
use crate::transport::Transport;

/// A family could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The kernel has no family of this name: its module is not loaded (`ENOENT`).
    #[error("the kernel has no generic-netlink family {name}")]
    NoFamily {
        /// The name.
        name: String,
    },
    /// The kernel could not be asked.
    #[error("failed to look up the generic-netlink family {name}")]
    Ask {
        /// The name.
        name: String,
        /// Why.
        source: DumpError,
    },
}

/// The number of the family `name`: the message type of its requests. Asking for a family that is not
/// there makes the kernel try to load the module that has it, where it may load modules
/// (`genl_family_find_byname`, `ctrl_getfamily`, `net/netlink/genetlink.c`, Linux 6.1).
///
/// # Errors
///
/// As [`ResolveError`] says.
pub fn resolve<T: Transport>(
    connection: &mut Connection<T>,
    name: &str,
) -> Result<u16, ResolveError> {
    let request = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(name.to_owned())],
    });
    let mut id = None;
    let answer = connection.get(&request, |payload| {
        id = id.or(family_id(payload)?);
        Ok(())
    });
    let no_family = || ResolveError::NoFamily {
        name: name.to_owned(),
    };
    match answer {
        Ok(()) => id.ok_or_else(no_family),
        Err(DumpError::Refused { errno, .. }) if errno.0 == libc::ENOENT => Err(no_family()),
        Err(source) => Err(ResolveError::Ask {
            name: name.to_owned(),
            source,
        }),
    }
}

/// Reads the family's number from the payload of an answer. Only this attribute is decoded. netlink-packet-generic would
/// decode all of them: it panics where a policy is cut short, and rejects attributes that it does not know.
fn family_id(payload: &[u8]) -> Result<Option<u16>, DecodeError> {
    let header = GenlHeader::parse(payload)?;
    if header.cmd != u8::from(GenlCtrlCmd::NewFamily) {
        return Err(format!("command {} is no answer to GetFamily", header.cmd).into());
    }
    let attributes = payload.get(GENL_HDRLEN..).unwrap_or_default();
    let mut id = None;
    for attribute in NlasIterator::new(attributes) {
        let attribute: NlaBuffer<&[u8]> = attribute?;
        if attribute.kind() == CTRL_ATTR_FAMILY_ID {
            id = id.or(Some(parse_u16(attribute.value())?));
        }
    }
    Ok(id)
}
