//! The connection tracker: stale UDP flows are deleted, so that their next packet finds a real server
//! that is there (deviation D17).

mod codec;
#[cfg(test)]
mod tests;

use ipvs::AddressFamily;
use model::udp_flows::{Flow, UdpFlows};
use netlink::{Connection, DumpError, Failure, Integrity, Protocol, Request};
use netlink_packet_core::DecodeError;

use self::codec::{Entry, Message};

/// Number of flows that are deleted at once: no more of them are remembered, however many are stale.
const BATCH: usize = 1_024;

/// The connection tracker of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Conntrack {
    list: Connection,
    /// A list is under way on the other one while flows are deleted.
    delete: Connection,
}

/// Decodes a message of a list to the flow that it is about.
pub(super) fn decode(payload: &[u8]) -> Result<Option<Flow>, DecodeError> {
    Ok(Entry::decode(payload)?.map(|entry| entry.flow))
}

/// Result of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// UDP flows that were looked at.
    pub seen: u64,
    /// Flows that were deleted, IPv4 and IPv6.
    pub deleted: [u64; 2],
    /// True if the table changed while it was read: a stale flow may have been missed.
    pub torn: bool,
}

/// The connection tracker could not be cleared. What was deleted before is gone.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    /// There is no netlink socket to be had.
    #[error("failed to reach the connection tracker")]
    Open(#[source] netlink::OpenError),
    /// The kernel lacks the module that lists flows.
    #[error(
        "the kernel cannot list tracked flows: load its module (modprobe nf_conntrack_netlink)"
    )]
    NoModule(#[source] DumpError),
    /// The flows could not be listed.
    #[error("failed to list tracked {0} flows")]
    List(AddressFamily, #[source] DumpError),
    /// A flow could not be deleted.
    #[error("failed to delete the tracked UDP flow {flow}")]
    Delete {
        /// The flow.
        flow: String,
        /// Why.
        source: Failure,
    },
}

impl Conntrack {
    /// Opens the connection tracker of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// There is no netlink socket to be had.
    pub fn open() -> Result<Self, ConntrackError> {
        let open = || Connection::open(Protocol::Netfilter).map_err(ConntrackError::Open);
        Ok(Self {
            list: open()?,
            delete: open()?,
        })
    }

    /// Deletes every UDP flow that leads to the wrong place. Flows are looked at as they come, and only
    /// some of the stale ones are held at any time.
    ///
    /// # Errors
    ///
    /// The flows cannot be listed, or one cannot be deleted though it is there; the first of these.
    pub fn clear_stale(&mut self, flows: &UdpFlows) -> Result<Cleared, ConntrackError> {
        let mut cleared = Cleared::default();
        for (index, family) in AddressFamily::ALL.into_iter().enumerate() {
            let wanted = |at: &std::net::SocketAddr| AddressFamily::of(at.ip()) == family;
            if !flows.served.keys().any(wanted) {
                continue;
            }
            let Self { list, delete } = self;
            let mut batch = Batch {
                connection: delete,
                stale: Vec::new(),
                deleted: 0,
                failure: None,
            };
            let mut seen = 0;
            let integrity = list.dump(&Message::list(family), |payload| {
                if let Some(entry) = Entry::decode(payload)? {
                    seen += 1;
                    if flows.is_stale(&entry.flow) {
                        batch.push(entry);
                    }
                }
                Ok(())
            });
            batch.send();
            cleared.seen += seen;
            cleared.deleted[index] = batch.deleted;
            if let Some(failure) = batch.failure {
                return Err(failure);
            }
            let integrity = integrity.map_err(|error| unlisted(family, error))?;
            cleared.torn |= integrity == Integrity::Torn;
        }
        Ok(cleared)
    }
}

/// nfnetlink answers so for a subsystem that it does not have (`nfnetlink_rcv_msg`, Linux 6.1).
fn unlisted(family: AddressFamily, error: DumpError) -> ConntrackError {
    match &error {
        DumpError::Refused { errno, .. } if errno.0 == libc::EINVAL => {
            ConntrackError::NoModule(error)
        }
        _ => ConntrackError::List(family, error),
    }
}

/// Flows to be deleted together.
struct Batch<'a> {
    connection: &'a mut Connection,
    stale: Vec<Entry>,
    deleted: u64,
    failure: Option<ConntrackError>,
}

impl Batch<'_> {
    fn push(&mut self, entry: Entry) {
        self.stale.push(entry);
        if self.stale.len() >= BATCH {
            self.send();
        }
    }

    fn send(&mut self) {
        let stale = std::mem::take(&mut self.stale);
        let requests = stale.iter().map(|entry| Request {
            message: Message::delete(entry),
            flags: 0,
        });
        for (outcome, entry) in self.connection.execute(requests).into_iter().zip(&stale) {
            match outcome {
                Ok(()) => self.deleted += 1,
                // It ended by itself meanwhile, or its tuple is another flow's by now.
                Err(Failure::Refused { errno, .. }) if errno.0 == libc::ENOENT => {}
                Err(source) => {
                    let flow = entry.to_string();
                    (self.failure).get_or_insert(ConntrackError::Delete { flow, source });
                }
            }
        }
    }
}
