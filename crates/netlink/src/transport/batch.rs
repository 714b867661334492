//! Receives several datagrams with one call and keeps them until they are needed.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Maximum number of datagrams received with one call. A short list has two datagrams, the entries
/// and its end; the kernel creates the second one when the first is received (`netlink_recvmsg`,
/// `net/netlink/af_netlink.c`, Linux 6.1). A long list has many.
const MAX_DATAGRAMS: usize = 16;

/// Size of a receive buffer. The kernel writes at most 32 KiB into one datagram of a dump and
/// chooses the size by that of the receive buffers (`netlink_recvmsg`, `net/netlink/af_netlink.c`,
/// Linux 6.1). A single message may be larger.
const RECEIVE_BYTES: usize = 256 * 1024;

/// Received datagrams that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct RecvBatch {
    datagrams: [Vec<u8>; MAX_DATAGRAMS],
    /// Length of each datagram; larger than its buffer's length if it did not fit.
    lengths: [usize; MAX_DATAGRAMS],
    next: usize,
    count: usize,
}

impl RecvBatch {
    /// Swaps `buffer` for the next datagram and returns the datagram's length. If none is left,
    /// waits for one and receives all that are available.
    pub(super) fn take(
        &mut self,
        socket: BorrowedFd<'_>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<usize> {
        if self.next == self.count {
            self.next = 0;
            self.count = 0;
            self.count = self.receive(socket)?;
        }
        let at = self.next;
        self.next += 1;
        std::mem::swap(buffer, &mut self.datagrams[at]);
        Ok(self.lengths[at])
    }

    fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut places = self.datagrams.each_mut().map(|datagram| {
            datagram.clear();
            datagram.reserve(RECEIVE_BYTES);
            libc::iovec {
                iov_base: datagram.as_mut_ptr().cast(),
                iov_len: datagram.capacity(),
            }
        });
        let mut headers = places.each_mut().map(|place| {
            // SAFETY: an all-zero `mmsghdr` is valid.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = place;
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        let flags = libc::MSG_WAITFORONE | libc::MSG_TRUNC;
        // SAFETY: each header has one `iovec` with a buffer that `datagrams` owns and that has the
        // given length; all of it outlives the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                MAX_DATAGRAMS as libc::c_uint,
                // The type of the flags differs between C libraries.
                flags as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let received = headers
            .iter()
            .take(count)
            .map(|header| header.msg_len as usize);
        for (at, length) in received.enumerate() {
            let datagram = &mut self.datagrams[at];
            // SAFETY: the kernel has written this many bytes, or has filled the buffer if the
            // datagram is longer.
            unsafe { datagram.set_len(length.min(datagram.capacity())) };
            self.lengths[at] = length;
        }
        Ok(count)
    }
}
