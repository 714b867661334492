//! Captures the netlink messages of other programs.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Size of the receive buffer: space for all messages between a program and the kernel during one
/// command. The kernel allocates 32 KiB for each datagram of a list.
static RECEIVE_BUFFER_BYTES: libc::c_int = 64 * 1024 * 1024;

/// Size of the buffer for one datagram, larger than any netlink datagram.
const DATAGRAM_BYTES: usize = 256 * 1024;

/// A packet socket on a device of type `nlmon`, which captures every netlink datagram of its
/// network namespace (drivers/net/nlmon.c, Linux 6.1).
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Opens a socket on the device `name`, which must be up.
    ///
    /// # Errors
    ///
    /// The device does not exist, or `CAP_NET_RAW` or `CAP_NET_ADMIN` is missing.
    pub fn open(name: &str) -> io::Result<Self> {
        let every = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: no pointers are involved.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM, every.into()) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the socket was just created and has no other owner.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: the pointer and the length describe a static, which outlives the call.
        check(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUFFORCE,
                (&raw const RECEIVE_BUFFER_BYTES).cast(),
                size_of_val(&RECEIVE_BUFFER_BYTES) as libc::socklen_t,
            )
        })?;
        let name = CString::new(name)?;
        // SAFETY: the name ends with a zero and outlives the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: an all-zero `sockaddr_ll` is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = every;
        address.sll_ifindex = index.cast_signed();
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        check(unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        })?;
        Ok(Self {
            socket,
            buffer: vec![0; DATAGRAM_BYTES],
        })
    }

    /// Returns every datagram of this netlink protocol, such as `NETLINK_GENERIC`, captured since
    /// the last call. Does not wait.
    ///
    /// # Errors
    ///
    /// The socket failed; `ENOBUFS` if the receive buffer was too small.
    pub fn drain(&mut self, protocol: libc::c_int) -> io::Result<Vec<Vec<u8>>> {
        let mut datagrams = Vec::new();
        while let Some((of, datagram)) = self.receive()? {
            if of == protocol {
                datagrams.push(datagram);
            }
        }
        Ok(datagrams)
    }

    /// Returns the next captured datagram with its netlink protocol; `None` if there is none. Does
    /// not wait.
    ///
    /// # Errors
    ///
    /// The socket failed; `ENOBUFS` if the receive buffer was too small.
    pub fn receive(&mut self) -> io::Result<Option<(libc::c_int, Vec<u8>)>> {
        // SAFETY: an all-zero `sockaddr_ll` is valid.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&from) as libc::socklen_t;
        // SAFETY: the pointers and lengths describe `buffer` and `from`, which outlive the call.
        let count = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                self.buffer.as_mut_ptr().cast(),
                self.buffer.len(),
                libc::MSG_DONTWAIT,
                (&raw mut from).cast(),
                &raw mut length,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock => Ok(None),
                _ => Err(error),
            };
        };
        // The device reports the netlink protocol instead of an Ethernet protocol.
        let protocol = libc::c_int::from(u16::from_be(from.sll_protocol));
        Ok(Some((protocol, self.buffer[..count].to_vec())))
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
