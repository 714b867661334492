//! Deletes stale UDP flows from the connection tracker, so that their next packet reaches an
//! existing real server (deviation D17).

mod codec;
#[cfg(test)]
mod tests;

use ipvs::AddressFamily;
use model::udp_flows::{Flow, UdpFlows};
use netlink::{Connection, DumpError, Failure, Integrity, Protocol, Request};
use netlink_packet_core::DecodeError;

use self::codec::{Entry, Message};

/// Number of flows deleted at once. It limits the memory, however many flows are stale.
const BATCH: usize = 1_024;

/// The connection tracker of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Conntrack {
    list: Connection,
    /// Connection for deletions, because the other one has a list in progress.
    delete: Connection,
}

/// Decodes a message of a list and returns its flow.
pub(super) fn decode(payload: &[u8]) -> Result<Option<Flow>, DecodeError> {
    Ok(Entry::decode(payload)?.map(|entry| entry.flow))
}

/// Result of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Number of UDP flows that were checked.
    pub seen: u64,
    /// Number of deleted flows, IPv4 and IPv6.
    pub deleted: [u64; 2],
    /// True if the table changed during the reading, so that a stale flow may have been missed.
    pub torn: bool,
}

/// Reason why stale flows could not be deleted. Earlier deletions remain.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    /// A netlink socket could not be opened.
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
        /// The cause.
        source: Failure,
    },
}

impl Conntrack {
    /// Opens the connection tracker of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// Fails if a netlink socket cannot be opened.
    pub fn open() -> Result<Self, ConntrackError> {
        let open = || Connection::open(Protocol::Netfilter).map_err(ConntrackError::Open);
        Ok(Self {
            list: open()?,
            delete: open()?,
        })
    }

    /// Deletes every UDP flow that leads to a wrong destination. Flows are processed as they are
    /// read, so only a limited number of stale flows is in memory at any time.
    ///
    /// # Errors
    ///
    /// Fails with the first error if the flows cannot be listed or an existing flow cannot be
    /// deleted.
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

/// nfnetlink answers with EINVAL for a missing subsystem (`nfnetlink_rcv_msg`, Linux 6.1).
fn unlisted(family: AddressFamily, error: DumpError) -> ConntrackError {
    match &error {
        DumpError::Refused { errno, .. } if errno.0 == libc::EINVAL => {
            ConntrackError::NoModule(error)
        }
        _ => ConntrackError::List(family, error),
    }
}

/// Flows to delete together.
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
                // The flow ended meanwhile, or another flow has its tuple now.
                Err(Failure::Refused { errno, .. }) if errno.0 == libc::ENOENT => {}
                Err(source) => {
                    let flow = entry.to_string();
                    (self.failure).get_or_insert(ConntrackError::Delete { flow, source });
                }
            }
        }
    }
}
