//! Every netlink message of a network namespace.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, netdevice, sockopt};

/// Room for all datagrams that one command causes: the kernel allots 32 KiB to each datagram of a
/// list.
const SOCKET_RECEIVE_BYTES: usize = 64 * 1024 * 1024;

/// Larger than any datagram of netlink.
const DATAGRAM: usize = 256 * 1024;

/// A packet socket on a device of type `nlmon`, which shows every datagram of netlink in its
/// network namespace (drivers/net/nlmon.c, Linux 6.1).
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Listens on the device `name`, which must be up.
    ///
    /// # Errors
    ///
    /// There is no such device, or `CAP_NET_RAW` or `CAP_NET_ADMIN` is missing.
    pub fn open(name: &str) -> io::Result<Self> {
        let every = (libc::ETH_P_ALL as u16).to_be();
        let protocol = NonZeroU32::new(every.into()).map(Protocol::from_raw);
        let socket = rustix::net::socket_with(
            AddressFamily::PACKET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        sockopt::set_socket_recv_buffer_size_force(&socket, SOCKET_RECEIVE_BYTES)?;
        let index = netdevice::name_to_index(&socket, name)?;
        let address = device(every, index);
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let status = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            socket,
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Returns every datagram of this netlink protocol, such as `NETLINK_GENERIC`, that was seen
    /// since the last call, and drops those of other protocols. Does not wait.
    ///
    /// # Errors
    ///
    /// The socket failed; `ENOBUFS` if there was no room for all datagrams.
    pub fn drain(&mut self, protocol: libc::c_int) -> io::Result<Vec<Vec<u8>>> {
        let mut datagrams = Vec::new();
        while let Some((of, datagram)) = self.receive()? {
            if of == protocol {
                datagrams.push(datagram);
            }
        }
        Ok(datagrams)
    }

    /// Returns the next datagram and its netlink protocol, or `None` if there was no further one.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// The socket failed; `ENOBUFS` if there was no room for all datagrams.
    pub fn receive(&mut self) -> io::Result<Option<(libc::c_int, Vec<u8>)>> {
        let mut from = device(0, 0);
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
        // The device gives the netlink protocol in place of an Ethernet one.
        let protocol = libc::c_int::from(u16::from_be(from.sll_protocol));
        Ok(Some((protocol, self.buffer[..count].to_vec())))
    }
}

fn device(protocol: u16, index: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol,
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
