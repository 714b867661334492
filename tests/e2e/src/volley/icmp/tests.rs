//! Messages in the format of raw sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Key, Message, checksum, v4, v6};

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 1, 1));

fn key(protocol: u8, port: u16, target: &str) -> Key {
    Key {
        protocol,
        port,
        target: target.parse().expect("an address with a port"),
    }
}

/// Returns an IPv4 header of this protocol to 10.96.1.1.
fn header4(protocol: u8) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[0] = 0x45;
    header[9] = protocol;
    header[16..].copy_from_slice(&[10, 96, 1, 1]);
    header
}

/// Returns an IPv6 header with this next header to fd00::1.
fn header6(next: u8) -> Vec<u8> {
    let mut header = vec![0; 40];
    header[0] = 0x60;
    header[6] = next;
    let to = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    header[24..].copy_from_slice(&to.octets());
    header
}

fn check_v4(icmp: &[u8], expected: Option<Message>) {
    let packet = [header4(1), icmp.to_vec()].concat();
    assert_eq!(v4(&packet, FROM), expected);
    for length in 0..packet.len() {
        // A truncated packet must not panic.
        let _ = v4(&packet[..length], FROM);
    }
}

#[test]
fn unreachable_port_of_ipv4() {
    let quoted = [&header4(6)[..], &[0x9c, 0x40, 0, 80, 0, 0, 0, 0]].concat();
    let icmp = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
    let expected = Message::Unreachable(key(6, 40000, "10.96.1.1:80"), "port");
    check_v4(&icmp, Some(expected));
}

#[test]
fn unreachable_host_of_an_echo_request() {
    let quoted = [&header4(1)[..], &[8, 0, 0, 0, 0, 7, 0, 9]].concat();
    let icmp = [&[3, 1, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
    let expected = Message::Unreachable(key(1, 7, "10.96.1.1:9"), "host");
    check_v4(&icmp, Some(expected));
}

#[test]
fn echo_reply_is_parsed() {
    let expected = Message::Echo(key(1, 7, "10.96.1.1:9"));
    check_v4(&[0, 0, 0, 0, 0, 7, 0, 9], Some(expected));
}

#[test]
fn echo_request_is_ignored() {
    check_v4(&[8, 0, 0, 0, 0, 7, 0, 9], None);
}

#[test]
fn unreachable_port_of_ipv6() {
    let quoted = [&header6(132)[..], &[0x9c, 0x40, 0, 99, 0, 0, 0, 0]].concat();
    let icmp = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
    let from = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let expected = Message::Unreachable(key(132, 40000, "[fd00::1]:99"), "port");
    assert_eq!(v6(&icmp, from), Some(expected));
    for length in 0..icmp.len() {
        assert_ne!(
            v6(&icmp[..length], from),
            Some(Message::Echo(key(58, 0, "[::1]:0")))
        );
    }
}

#[test]
fn checksum_of_a_packet_with_its_checksum_is_zero() {
    let mut packet = [8, 0, 0, 0, 0x12, 0x34, 0xff, 0xfe];
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(checksum(&packet), 0);
}
