//! Tests with the running kernel. A list of its interfaces needs no privileges.

use std::time::{Duration, Instant};

use netlink_packet_core::NetlinkSerializable;

use super::{Protocol, RECV_TIMEOUT, Socket, Transport as _};
use crate::connection::Connection;
use crate::error::DumpError;

/// `RTM_GETLINK` with an empty `struct ifinfomsg`.
struct Links;

impl NetlinkSerializable for Links {
    fn message_type(&self) -> u16 {
        18
    }

    fn buffer_len(&self) -> usize {
        16
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn links(connection: &mut Connection) -> Result<usize, DumpError> {
    let mut count = 0;
    let integrity = connection.dump(&Links, |_| {
        count += 1;
        Ok(())
    });
    integrity.map(|_| count)
}

/// Datagrams that one call received are returned one by one, and the end of a list is not left for
/// the next list.
#[test]
fn consecutive_lists_are_complete() {
    let mut connection = Connection::open(Protocol::Route).expect("a socket");
    for _ in 0..3 {
        assert!(links(&mut connection).expect("a list") > 0);
    }
}

#[test]
fn receive_ends_after_the_timeout() {
    let mut socket = Socket::open(Protocol::Route).expect("a socket");
    let began = Instant::now();
    let error = socket.receive(&mut Vec::new()).expect_err("nothing came");
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    assert!(began.elapsed() + Duration::from_millis(100) > RECV_TIMEOUT);
}
