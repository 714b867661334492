//! Answers to a packet.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// A possible result of a packet. Prints as in tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A socket receives it.
    Answered {
        /// Owner of the socket.
        by: String,
        /// Source address that the socket sees.
        seeing: IpAddr,
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
            Self::Answered { by, seeing } => write!(f, "{by} seeing {seeing}"),
            Self::Echo => f.write_str("echo"),
            Self::Refused => f.write_str("refused"),
            Self::Unreachable(what) => write!(f, "unreachable {what}"),
            Self::Lost => f.write_str("lost"),
            Self::NotPermitted => f.write_str("not permitted"),
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
