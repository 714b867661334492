//! Datagrams that one call has received, until they are asked for.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Datagrams received at once. A list of few entries is two, the entries and its end, and the second is made when
/// the first is taken (`netlink_recvmsg`, `net/netlink/af_netlink.c`, Linux 6.1); a long one is many.
const DATAGRAMS: usize = 16;

/// The kernel writes at most 32 KiB into one datagram of a dump, and looks at the size of the
/// receive buffers to choose (`netlink_recvmsg`, `net/netlink/af_netlink.c`, Linux 6.1). A single
/// message may be larger.
const RECEIVE_BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RecvBatch {
    datagrams: [Vec<u8>; DATAGRAMS],
    /// The whole length of each, larger than what is kept of one that did not fit.
    lengths: [usize; DATAGRAMS],
    next: usize,
    count: usize,
}

impl RecvBatch {
    /// Exchanges `buffer` for the next datagram, and answers its whole length. Receives where none is left: waits for the
    /// first, and takes what else is there.
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
        // SAFETY: each header has one place, of memory that `datagrams` owns and that is as long as it says; all of it outlives
        // the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                DATAGRAMS as libc::c_uint,
                // Its type differs between C libraries.
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
            // SAFETY: the kernel has written so many bytes, or as many as there was room for where the whole is longer.
            unsafe { datagram.set_len(length.min(datagram.capacity())) };
            self.lengths[at] = length;
        }
        Ok(count)
    }
}
