//! Against the kernel that runs the tests: a list of its interfaces needs no privilege.

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

/// Datagrams received by one call are handed out one by one, and the end of a list is never left for the next.
#[test]
fn lists_one_after_the_other() {
    let mut connection = Connection::open(Protocol::Route).expect("a socket");
    for _ in 0..3 {
        assert!(links(&mut connection).expect("a list") > 0);
    }
}

#[test]
fn where_nothing_comes_it_is_not_waited_for_long() {
    let mut socket = Socket::open(Protocol::Route).expect("a socket");
    let began = Instant::now();
    let error = socket.receive(&mut Vec::new()).expect_err("nothing came");
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    assert!(began.elapsed() + Duration::from_millis(100) > RECV_TIMEOUT);
}
