//! The expected results, in the words of the API.

use std::fmt;

use super::{Asker, Cell, Kind, NodeAddress, Policy};
use Seen::{Asker as Its, Node, Target};

/// The expected result of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// These pods answer, each seeing that source.
    Served(&'static [(&'static str, Seen)]),
    /// Refused at once by ICMP, as no endpoint would serve it.
    Refused,
    /// No socket listens there.
    Closed,
}

/// The source address that a pod sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// That of who asked.
    Asker,
    /// The one that was asked, which the node takes as its own.
    Target,
    /// The node's, on the way to the pod.
    Node,
}

/// An endpoint on the node, and one on another.
const HERE: &str = "podA";
const AWAY: &str = "podC";

/// The rules; the first that applies holds.
///
/// 1. The loopback addresses are no node ports (kube-proxy's ipvs mode has none there).
/// 2. Internal policy Local without an endpoint here serves nobody, unless the Service is for outside too.
/// 3. An endpoint that reaches itself sees the node: it would answer itself past the node otherwise.
/// 4. A cluster IP is seen by pods as who they are; others are masqueraded: they are not of the cluster.
/// 5. External policy Cluster masquerades everybody: the answer must come back by the node that was asked.
/// 6. External policy Local masquerades nobody, and asks endpoints of the node alone, if there are any. From the node
///    itself the source is the address that was asked.
/// 7. With external policy Local and no endpoint on the node, the node itself is masqueraded where the address is not its
///    own, so that the answer finds back (deviation D12).
pub(super) fn expected(cell: Cell) -> Expect {
    use Policy::{Cluster, LocalWith, LocalWithout, LocalWithoutInside};
    let Cell { kind, policy, from } = cell;
    match (kind, policy, from) {
        (Kind::NodePort(NodeAddress::Loopback), ..) => Expect::Closed,
        (_, LocalWithoutInside, _) => Expect::Refused,
        (Kind::ClusterIp, Cluster, Asker::Itself) => Expect::Served(&[(HERE, Node), (AWAY, Its)]),
        (Kind::ClusterIp, Cluster, Asker::Pod) => Expect::Served(&[(HERE, Its), (AWAY, Its)]),
        (Kind::ClusterIp, Cluster, _) => Expect::Served(&[(HERE, Node), (AWAY, Node)]),
        (Kind::ClusterIp, LocalWith, Asker::Pod) => Expect::Served(&[(HERE, Its)]),
        (Kind::ClusterIp, LocalWith, _) => Expect::Served(&[(HERE, Node)]),
        (Kind::ClusterIp, LocalWithout, Asker::Pod | Asker::Itself) => {
            Expect::Served(&[(AWAY, Its)])
        }
        (Kind::ClusterIp, LocalWithout, _) => Expect::Served(&[(AWAY, Node)]),
        (_, Cluster, _) => Expect::Served(&[(HERE, Node), (AWAY, Node)]),
        (_, LocalWith, Asker::Itself) => Expect::Served(&[(HERE, Node)]),
        (_, LocalWith, Asker::Host) => Expect::Served(&[(HERE, Target)]),
        (_, LocalWith, _) => Expect::Served(&[(HERE, Its)]),
        (Kind::NodePort(_), LocalWithout, Asker::Host) => Expect::Served(&[(AWAY, Target)]),
        (_, LocalWithout, Asker::Host) => Expect::Served(&[(AWAY, Node)]),
        (_, LocalWithout, _) => Expect::Served(&[(AWAY, Its)]),
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Closed => f.write_str("closed"),
            Self::Served(pods) => {
                let words = pods.iter().map(|(pod, seen)| {
                    let seen = match seen {
                        Its => "asker",
                        Target => "target",
                        Node => "node",
                    };
                    format!("{pod}<-{seen}")
                });
                f.write_str(&words.collect::<Vec<_>>().join(" "))
            }
        }
    }
}
