//! Codecs of netlink messages.

use std::fmt::Debug;

use ipset::codec::Command as SetCommand;
use ipset::codec::Message as SetMessage;
use ipset::codec::convert::{entries_of, header_of, refused_line, set_name_of};
use ipvs::AddressFamily;
use ipvs::codec::convert::{
    destination_attributes, read_daemon, read_destination, read_info, read_service, read_timeouts,
    service_attributes,
};
use ipvs::codec::{Attributes, CommandAttribute, Message};
use kernel::linux::decode;
use netlink_packet_core::{Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::GenlHeader;

use super::{equal, rejected};

/// Bytes of `struct genlmsghdr`.
const GENERIC_HEADER: usize = 4;

/// Decodes a message of IPVS. A decoded message encodes to one that decodes to the same.
pub(super) fn ipvs(input: &[u8]) -> Result<(), String> {
    let Ok(header) = GenlHeader::parse(input) else {
        return Ok(());
    };
    let attributes = input.get(GENERIC_HEADER..).unwrap_or_default();
    let Ok(message) = Message::parse_with_param(attributes, header) else {
        return Ok(());
    };
    let mut encoded = vec![0; message.buffer_len()];
    message.emit(&mut encoded);
    let again = Message::parse_with_param(&encoded, header).map_err(rejected(
        "an IPVS message is encoded and decoded",
        &format!("{encoded:02x?}"),
    ))?;
    equal_message(
        "an IPVS message is encoded and decoded",
        input,
        &message,
        &again,
    )?;
    let _ = (read_timeouts(&message), read_info(&message));
    if let Attributes::Command(attributes) = &message.attributes {
        attributes.iter().try_for_each(ipvs_object)?;
    }
    Ok(())
}

fn ipvs_object(attribute: &CommandAttribute) -> Result<(), String> {
    match attribute {
        CommandAttribute::Service(nested) => {
            if let Ok((server, _)) = read_service(&nested.attributes)
                && server.validate().is_ok()
            {
                let promise = "a valid virtual server is encoded and decoded";
                let (again, _) = read_service(&service_attributes(&server))
                    .map_err(rejected(promise, &format!("{server:?}")))?;
                equal(promise, &server, &again)?;
            }
        }
        CommandAttribute::Destination(nested) => {
            for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
                if let Ok(status) = read_destination(&nested.attributes, family) {
                    let promise = "a real server is encoded and decoded";
                    let server = status.server;
                    let again = read_destination(&destination_attributes(&server), family)
                        .map_err(rejected(promise, &format!("{server:?}")))?;
                    equal(promise, &server, &again.server)?;
                }
            }
        }
        CommandAttribute::Daemon(nested) => {
            let _ = read_daemon(&nested.attributes);
        }
        _ => {}
    }
    Ok(())
}

/// Decodes a message of ipset, whose data is a header or an entry. A decoded message encodes to one
/// that decodes to the same.
pub(super) fn ipset(input: &[u8]) -> Result<(), String> {
    for command in [SetCommand::List, SetCommand::Add] {
        let Ok(message) = SetMessage::decode(command, input) else {
            continue;
        };
        let promise = "an ipset message is encoded and decoded";
        let encoded = message.encode();
        let again = SetMessage::decode(command, &encoded)
            .map_err(rejected(promise, &format!("{encoded:02x?}")))?;
        equal_message(promise, input, &message, &again)?;
        let _ = (set_name_of(&message), refused_line(&message));
        if let Some(header) = header_of(&message) {
            for entry in entries_of(&message, header).unwrap_or_default() {
                equal(
                    "a decoded entry fits its set",
                    &Ok(entry),
                    &header.fit(entry),
                )?;
            }
        }
    }
    Ok(())
}

/// Decodes a flow of the connection tracker.
pub(super) fn conntrack(input: &[u8]) -> Result<(), String> {
    let _ = decode::tracked_flow(input);
    Ok(())
}

/// Decodes a link, an address and a route.
pub(super) fn rtnetlink(input: &[u8]) -> Result<(), String> {
    let _ = decode::link_name(input);
    let _ = decode::link_address(input);
    let _ = decode::route_source(input);
    Ok(())
}

/// Returns the same error as [`equal`], except if an attribute of `input` has both flags,
/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`: the kernel never sets both
/// (`include/uapi/linux/netlink.h`), and netlink-packet-core keeps one.
fn equal_message<T: PartialEq + Debug>(
    promise: &str,
    input: &[u8],
    first: &T,
    again: &T,
) -> Result<(), String> {
    // The high byte of an attribute's type is the last of four.
    let both = |bytes: &[u8]| matches!(bytes, [.., high] if *high >= 0xc0);
    match first != again && input.chunks_exact(4).any(both) {
        true => Ok(()),
        false => equal(promise, first, again),
    }
}
