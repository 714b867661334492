use netlink_packet_core::{Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::{GenlFamily as _, GenlHeader};
use proptest::prelude::*;

use super::attributes::{MaskedFlags, Nested, NetworkOrder};
use super::convert::{
    daemon_attributes, destination_attributes, read_daemon, read_destination, read_info,
    read_service, read_timeouts, service_attributes, service_request, set_timeouts,
};
use super::{
    Attributes, Command, CommandAttribute, DaemonAttribute, DestinationAttribute, Message,
    ServiceAttribute,
};
use crate::testing::{key, real_server, sync_daemon, virtual_server};
use crate::types::{AddressFamily, Forwarding, Statistics, Timeouts, VirtualServer};

/// Returns the bytes of `message` after the generic-netlink header.
fn bytes(message: &Message) -> Vec<u8> {
    let mut bytes = vec![0xaa; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn decode(command: Command, bytes: &[u8]) -> Message {
    let header = GenlHeader {
        cmd: command.number(),
        version: 1,
    };
    Message::parse_with_param(bytes, header).expect("an encoded message parses")
}

/// Encodes `message` and parses it again.
fn again(message: &Message) -> Vec<CommandAttribute> {
    let read = decode(message.command, &bytes(message));
    assert_eq!(read, *message);
    match read.attributes {
        Attributes::Command(attributes) => attributes,
        Attributes::Info(_) => panic!("{:?} is not an answer to GetInfo", message.command),
    }
}

proptest! {
    #[test]
    fn virtual_servers(server in virtual_server()) {
        let nested = Nested::new(service_attributes(&server));
        let message = Message::new(Command::NewService, vec![CommandAttribute::Service(nested)]);
        let [CommandAttribute::Service(nested)] = &again(&message)[..] else {
            panic!("one attribute");
        };
        let (read, _) = read_service(&nested.attributes).expect("complete");
        prop_assert_eq!(read, server);
    }

    #[test]
    fn keys_of_virtual_servers(key in key()) {
        let [CommandAttribute::Service(nested)] = &again(&service_request(Command::Zero, &key))[..]
        else {
            panic!("one attribute");
        };
        let (read, _) = read_service(&nested.attributes).expect("complete");
        prop_assert_eq!(read.key, key);
    }

    #[test]
    fn real_servers(real in real_server()) {
        let nested = Nested::new(destination_attributes(&real));
        let message =
            Message::new(Command::SetDestination, vec![CommandAttribute::Destination(nested)]);
        let [CommandAttribute::Destination(nested)] = &again(&message)[..] else {
            panic!("one attribute");
        };
        for family in AddressFamily::ALL {
            let read = read_destination(&nested.attributes, family).expect("complete");
            prop_assert_eq!(read.server, real);
        }
    }

    #[test]
    fn daemons(daemon in sync_daemon()) {
        let nested = Nested::new(daemon_attributes(&daemon));
        let message = Message::new(Command::NewDaemon, vec![CommandAttribute::Daemon(nested)]);
        let [CommandAttribute::Daemon(nested)] = &again(&message)[..] else {
            panic!("one attribute");
        };
        prop_assert_eq!(read_daemon(&nested.attributes).expect("complete"), daemon);
    }

    #[test]
    fn parse_never_panics(number in 0_u8..20, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let header = GenlHeader { cmd: number, version: 1 };
        if let Ok(message) = Message::parse_with_param(&bytes[..], header) {
            let _ = (read_info(&message), read_timeouts(&message));
        }
    }
}

#[test]
fn commands_keep_their_numbers() {
    for (number, command) in (1..).zip(Command::ALL) {
        assert_eq!(command.number(), number);
        assert_eq!(Command::from(number), command);
    }
    assert_eq!(Command::from(18), Command::Other(18));
    assert_eq!(Command::from(0), Command::Other(0));
    let message = Message::new(Command::Other(18), Vec::new());
    assert_eq!((message.command(), message.version()), (18, 1));
}

#[test]
fn timeouts() {
    let seconds = std::time::Duration::from_secs;
    let timeouts = Timeouts {
        tcp: seconds(1),
        tcp_fin: seconds(2),
        udp: seconds(u64::from(u32::MAX)),
    };
    let message = set_timeouts(&timeouts);
    again(&message);
    assert_eq!(read_timeouts(&message), timeouts);
}

#[test]
fn kernels_own_flag_is_removed() {
    let (server, _) = read_with([ServiceAttribute::Flags(MaskedFlags {
        flags: 0xffff_ffff,
        mask: u32::MAX,
    })]);
    assert_eq!(server.flags.bits(), 0xffff_fffd);
}

fn key_of_port_80() -> Vec<ServiceAttribute> {
    vec![
        ServiceAttribute::AddressFamily(2),
        ServiceAttribute::Protocol(6),
        ServiceAttribute::Address([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ServiceAttribute::Port(NetworkOrder(80)),
    ]
}

/// Reads a virtual server with its key and these attributes.
fn read_with(others: impl IntoIterator<Item = ServiceAttribute>) -> (VirtualServer, Statistics) {
    let mut attributes = key_of_port_80();
    attributes.extend(others);
    read_service(&attributes).expect("complete")
}

#[test]
fn attributes_of_the_key_are_required() {
    for missing in 0..4 {
        let mut attributes = key_of_port_80();
        attributes.remove(missing);
        assert!(read_service(&attributes).is_err(), "{missing}");
    }
    let check = |attribute: ServiceAttribute, problem: &str| {
        let mut attributes = key_of_port_80();
        attributes.push(attribute);
        let error = read_service(&attributes).expect_err(problem);
        assert_eq!(error.to_string(), problem);
    };
    check(
        ServiceAttribute::AddressFamily(3),
        "address family 3 is neither IPv4 nor IPv6",
    );
    check(
        ServiceAttribute::Protocol(256),
        "protocol 256 does not exist",
    );
}

/// For a virtual server without mark, the kernel sends a mark of 0 and an address.
#[test]
fn mark_of_zero_means_no_mark() {
    let (server, _) = read_with([ServiceAttribute::Fwmark(0)]);
    assert_eq!(server.key.to_string(), "10.0.0.1:80/TCP");
}

/// ipvsadm does not send an empty engine; the kernel's empty name means no engine.
#[test]
fn empty_engine_means_no_engine() {
    let (server, _) = read_with([ServiceAttribute::PersistenceEngine(String::new())]);
    assert_eq!(server.persistence_engine, None);
}

#[test]
fn masks_are_read_as_prefix_lengths() {
    let check = |family, netmask, prefix| {
        let attributes = [
            ServiceAttribute::AddressFamily(family),
            ServiceAttribute::Fwmark(7),
            ServiceAttribute::Netmask(netmask),
        ];
        let (server, _) = read_service(&attributes).expect("complete");
        assert_eq!(server.persistence_prefix, prefix);
    };
    check(2, [255, 255, 255, 255], 32);
    check(2, [255, 255, 128, 0], 17);
    check(2, [0, 0, 0, 0], 0);
    check(2, [255, 0, 255, 0], 8);
    check(10, 64_u32.to_ne_bytes(), 64);
}

#[test]
fn counters_of_64_bits_are_preferred_in_any_order() {
    use super::StatisticsAttribute;
    use super::attributes::Counter;

    let nested = |counter| Nested::new(vec![StatisticsAttribute::Connections(counter)]);
    let narrow = ServiceAttribute::Statistics(nested(Counter::Narrow(1)));
    let wide = ServiceAttribute::Statistics64(nested(Counter::Wide(1 << 40)));
    for pair in [[narrow.clone(), wide.clone()], [wide, narrow.clone()]] {
        let (_, statistics) = read_with(pair);
        assert_eq!(statistics.connections, 1 << 40);
    }
    let (_, statistics) = read_with([narrow]);
    assert_eq!(statistics.connections, 1);
}

/// Kernels before 3.18 send such a real server. Bits besides the forwarding method are the kernel's
/// own.
#[test]
fn real_server_without_family_inherits_the_virtual_servers() {
    let attributes = [
        DestinationAttribute::Address([10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        DestinationAttribute::Port(NetworkOrder(8080)),
        DestinationAttribute::ForwardingMethod(0x10003),
    ];
    let status = read_destination(&attributes, AddressFamily::Ipv4).expect("complete");
    assert_eq!(status.server.key.to_string(), "10.1.0.1:8080");
    assert_eq!(status.server.forwarding, Forwarding::DirectRoute);
    assert!(read_destination(&attributes[1..], AddressFamily::Ipv4).is_err());
}

#[test]
fn daemon_without_interface_is_an_error() {
    assert!(read_daemon(&[DaemonAttribute::State(1)]).is_err());
}
