//! The expected results, in terms of the Kubernetes API.

use std::fmt;

use super::{Cell, Kind, NodeAddress, Origin, Policy};
use Seen::{Node, Origin as Its, Target};

/// The expected result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The listed pods answer, and each sees this source.
    Served(&'static [(&'static str, Seen)]),
    /// Refused at once by ICMP, because no endpoint can serve the request.
    Refused,
    /// No socket listens there.
    Closed,
}

/// The source address that a pod sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The address of the origin.
    Origin,
    /// The target address, which the node uses as its own.
    Target,
    /// The node's address on the way to the pod.
    Node,
}

/// The endpoint on the node.
const HERE: &str = "podA";
/// The endpoint on another node.
const AWAY: &str = "podC";

/// Returns the expected result by these rules, of which the first that applies holds:
///
/// 1. Loopback addresses have no node ports (as in kube-proxy's ipvs mode).
/// 2. With internal policy Local and no endpoint on the node, requests are refused, unless the
///    Service also has external addresses.
/// 3. An endpoint that reaches itself sees the node's address: otherwise its answer would bypass
///    the node.
/// 4. At a cluster IP, requests of pods keep their source; others are masqueraded, because they
///    come from outside the cluster.
/// 5. External policy Cluster masquerades all requests: the answer must return through the node
///    that received the request.
/// 6. External policy Local masquerades no requests, and uses only endpoints of the node, if there
///    are any. For requests of the node itself the source is the target address.
/// 7. With external policy Local and no endpoint on the node, requests of the node itself are
///    masqueraded if the address is not its own, so that the answer returns to it (deviation D12).
pub(super) fn expected(cell: Cell) -> Expect {
    use Policy::{Cluster, LocalWith, LocalWithout, LocalWithoutInside};
    let Cell { kind, policy, from } = cell;
    match (kind, policy, from) {
        (Kind::NodePort(NodeAddress::Loopback), ..) => Expect::Closed,
        (_, LocalWithoutInside, _) => Expect::Refused,
        (Kind::ClusterIp, Cluster, Origin::Itself) => Expect::Served(&[(HERE, Node), (AWAY, Its)]),
        (Kind::ClusterIp, Cluster, Origin::Pod) => Expect::Served(&[(HERE, Its), (AWAY, Its)]),
        (Kind::ClusterIp, Cluster, _) => Expect::Served(&[(HERE, Node), (AWAY, Node)]),
        (Kind::ClusterIp, LocalWith, Origin::Pod) => Expect::Served(&[(HERE, Its)]),
        (Kind::ClusterIp, LocalWith, _) => Expect::Served(&[(HERE, Node)]),
        (Kind::ClusterIp, LocalWithout, Origin::Pod | Origin::Itself) => {
            Expect::Served(&[(AWAY, Its)])
        }
        (Kind::ClusterIp, LocalWithout, _) => Expect::Served(&[(AWAY, Node)]),
        (_, Cluster, _) => Expect::Served(&[(HERE, Node), (AWAY, Node)]),
        (_, LocalWith, Origin::Itself) => Expect::Served(&[(HERE, Node)]),
        (_, LocalWith, Origin::Host) => Expect::Served(&[(HERE, Target)]),
        (_, LocalWith, _) => Expect::Served(&[(HERE, Its)]),
        (Kind::NodePort(_), LocalWithout, Origin::Host) => Expect::Served(&[(AWAY, Target)]),
        (_, LocalWithout, Origin::Host) => Expect::Served(&[(AWAY, Node)]),
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
                        Its => "origin",
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
