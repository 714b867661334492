//! Generic netlink: families with fixed names and numbers that differ between boots.

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

/// Failure to resolve a family.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The kernel has no family with this name: its module is not loaded (`ENOENT`).
    #[error("the kernel has no generic-netlink family {name}")]
    NoFamily {
        /// Name of the family.
        name: String,
    },
    /// The kernel did not answer the request.
    #[error("failed to look up the generic-netlink family {name}")]
    Ask {
        /// Name of the family.
        name: String,
        /// The cause.
        source: DumpError,
    },
}

/// Returns the number of the family `name`, which is the message type of its requests.
///
/// If the family is missing, the kernel tries to load its module, if it may load modules
/// (`genl_family_find_byname`, `ctrl_getfamily`, `net/netlink/genetlink.c`, Linux 6.1).
///
/// # Errors
///
/// The kernel has no such family, or did not answer.
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

/// Returns the family's number from the payload of an answer. Only this attribute is decoded:
/// netlink-packet-generic decodes all of them, panics if a policy is cut short, and rejects unknown
/// attributes.
fn family_id(payload: &[u8]) -> Result<Option<u16>, DecodeError> {
    let header = GenlHeader::parse(payload)?;
    if header.cmd != u8::from(GenlCtrlCmd::NewFamily) {
        return Err(format!("command {} is not an answer to GetFamily", header.cmd).into());
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
