//! Answers to a packet.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipvs::Forwarding;

/// A part of the tables that cannot be evaluated, or an unknown property of the packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot judge {0}")]
pub struct Unjudged(pub String);

/// A possible result of a packet. Prints as in tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A socket receives it.
    Answered {
        /// Owner of the socket.
        by: String,
        /// Source address that the socket sees. `None`: an address of the node, and it is not known
        /// which one.
        seeing: Option<IpAddr>,
    },
    /// IPVS or the node delivers it to this address, and it is not known whether a program listens
    /// there.
    Delivered {
        /// Destination on arrival.
        to: SocketAddr,
        /// True if the address is one of this node.
        on_node: bool,
        /// Source on arrival, as for `Answered`.
        seeing: Option<IpAddr>,
    },
    /// IPVS passes the packet, with its destination unchanged, to a real server that answers the
    /// client itself.
    Forwarded {
        /// Address of the real server.
        to: IpAddr,
        /// Forwarding method.
        by: Forwarding,
        /// Source on arrival, as for `Answered`.
        seeing: Option<IpAddr>,
    },
    /// No virtual server takes the packet, and routing sends it to this address, which is not one of
    /// the node. It is not known whether a program listens there.
    Routed {
        /// Destination.
        to: SocketAddr,
        /// Source on arrival, as for `Answered`.
        seeing: Option<IpAddr>,
    },
    /// An echo request is answered.
    Echo,
    /// No socket listens: RST, ABORT.
    Refused,
    /// An ICMP error comes back.
    Unreachable(String),
    /// Nothing comes back.
    Lost,
    /// The node's own packet is dropped on its way out, and the system call returns EPERM.
    NotPermitted,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { by, seeing } => write!(f, "{by} seeing {}", Source(*seeing)),
            Self::Delivered { to, seeing, .. } => {
                write!(f, "delivered to {to} seeing {}", Source(*seeing))
            }
            Self::Routed { to, seeing } => {
                write!(f, "routed to {to} seeing {}", Source(*seeing))
            }
            Self::Forwarded { to, by, seeing } => {
                write!(f, "{to} by {by} seeing {}", Source(*seeing))
            }
            Self::Echo => f.write_str("echo"),
            Self::Refused => f.write_str("refused"),
            Self::Unreachable(what) => write!(f, "unreachable {what}"),
            Self::Lost => f.write_str("lost"),
            Self::NotPermitted => f.write_str("not permitted"),
        }
    }
}

/// A source address on arrival; `None` is an unknown address of the node.
struct Source(Option<IpAddr>);

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("an address of the node"),
        }
    }
}

/// All possible results of a packet: the choice of the real server is the scheduler's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict(pub BTreeSet<Outcome>);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, outcome) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            outcome.fmt(f)?;
        }
        Ok(())
    }
}
