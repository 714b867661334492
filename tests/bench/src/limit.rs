//! Measures the kernel's own limit. The daemon's datagrams are recorded and sent again, one by one,
//! without any computation. Each datagram has many messages, the last of which requests an
//! acknowledgement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netlink::{Protocol, Socket, Transport as _};
use support::Monitor;
use support::messages::parse;
use support::program::run;

use crate::Outcome;

/// Device that records netlink.
pub(crate) const DEVICE: &str = "nlmon0";

const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;

/// Messages that change the kernel, in the order in which a daemon sent them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) servers: Vec<Vec<u8>>,
    pub(crate) sets: Vec<Vec<u8>>,
    pub(crate) addresses: Vec<Vec<u8>>,
    /// Number of all datagrams, readings too.
    pub(crate) datagrams: usize,
}

/// Runs `work` in a network namespace that [`prepare`] prepared, and records what it sends.
pub(crate) fn record<T: Send>(work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<(T, Sent)> {
    let mut monitor = Monitor::open(DEVICE)?;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let listener = scope.spawn(|| -> Outcome<Sent> {
            let mut sent = Sent::default();
            loop {
                let last = ended.load(Ordering::Relaxed);
                while let Some((protocol, datagram)) = monitor.receive()? {
                    sent.keep(protocol, datagram);
                }
                if last {
                    return Ok(sent);
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        let sent = listener.join().map_err(|_| "the listener panicked")??;
        Ok((done?, sent))
    })
}

/// Creates the device that records netlink. A namespace in which datagrams are sent again has the
/// device too, because messages refer to interfaces by number.
pub(crate) fn prepare() {
    run("ip", &format!("link add {DEVICE} type nlmon"), "");
    run("ip", &format!("link set {DEVICE} up"), "");
}

impl Sent {
    fn keep(&mut self, protocol: libc::c_int, datagram: Vec<u8>) {
        let direction = direction(protocol, &datagram);
        self.datagrams += usize::from(direction != Direction::Answer);
        if direction == Direction::Write {
            match protocol {
                libc::NETLINK_GENERIC => self.servers.push(datagram),
                libc::NETLINK_NETFILTER => self.sets.push(datagram),
                _ => self.addresses.push(datagram),
            }
        }
    }
}

/// Purpose of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// A request to read.
    Read,
    /// A request to change something.
    Write,
    /// An answer of the kernel.
    Answer,
}

/// Returns the purpose of a datagram of IPVS, ipset or addresses, from its first message.
pub(crate) fn direction(protocol: libc::c_int, datagram: &[u8]) -> Direction {
    let first = parse(datagram).into_iter().next();
    let Some(request) = first.filter(|message| message.flags & REQUEST != 0) else {
        return Direction::Answer;
    };
    let (kind, flags) = (request.kind, request.flags);
    let command = request.payload.first().copied().unwrap_or_default();
    let writes = match protocol {
        // IPVS_CMD_NEW_SERVICE to SET_CONFIG without the GETs; the family's number is above the
        // controller's.
        libc::NETLINK_GENERIC => {
            kind > 0x10 && flags & DUMP == 0 && matches!(command, 1..=3 | 5..=7 | 12)
        }
        // NFNL_SUBSYS_IPSET, IPSET_CMD_CREATE to DEL without LIST, SAVE.
        libc::NETLINK_NETFILTER => kind >> 8 == 6 && matches!(kind & 0xff, 2..=6 | 9 | 10),
        // RTM_NEW…, RTM_DEL…; RTM_GET… is 2 above a multiple of 4.
        libc::NETLINK_ROUTE => kind % 4 != 2,
        _ => false,
    };
    match writes {
        true => Direction::Write,
        false => Direction::Read,
    }
}

/// Sends `datagrams` again, each after the acknowledgement of the one before. Returns the duration.
pub(crate) fn replay(protocol: Protocol, datagrams: &[Vec<u8>]) -> Outcome<Duration> {
    let mut socket = Socket::open(protocol)?;
    let mut answer = Vec::new();
    let ends: Vec<u32> = datagrams
        .iter()
        .map(|datagram| last_sequence(datagram))
        .collect();
    let began = Instant::now();
    for (datagram, end) in datagrams.iter().zip(ends) {
        socket.send(datagram)?;
        loop {
            let length = socket.receive(&mut answer)?;
            if length > answer.len() || last_sequence(&answer) == end {
                break;
            }
        }
    }
    Ok(began.elapsed())
}

/// Returns the sequence number of a datagram's last message.
fn last_sequence(datagram: &[u8]) -> u32 {
    let last = parse(datagram).pop();
    last.map_or(0, |message| message.sequence)
}
