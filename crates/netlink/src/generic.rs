//! Families of generic netlink, which are known by name and have numbers that differ between boots.

use netlink_packet_core::{DecodeError, ParseableParametrized};
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

fn family_id(payload: &[u8]) -> Result<Option<u16>, DecodeError> {
    let header = GenlHeader::parse(payload)?;
    let attributes = payload.get(4..).unwrap_or_default();
    let family = GenlCtrl::parse_with_param(attributes, header)?;
    Ok((family.nlas.iter()).find_map(|attribute| match attribute {
        GenlCtrlAttrs::FamilyId(id) => Some(*id),
        _ => None,
    }))
}
