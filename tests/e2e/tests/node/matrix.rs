//! Every kind of address, policy and origin, over every protocol and both families: which pods
//! answer, and which source they see.
//!
//! The expectations come from [`rules`], which state them in terms of the Kubernetes API,
//! independently of the implementation.

mod objects;
mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, OnceLock, PoisonError};

use e2e::{Ask, Failure, Family, Lab, Outcome, Over, Protocol, Reply, Volley, ensure};
use libtest_mimic::Trial;

use crate::case;
use crate::proxy::{Proxy, Running, Source, Wanted};
use crate::service::FAMILIES;
use rules::{Expect, Seen, expected};

/// A kind of address to which requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    ClusterIp,
    NodePort(NodeAddress),
    LoadBalancer,
    ExternalIp,
}

/// An address of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NodeAddress {
    /// The address of the Node object.
    Primary,
    /// An address of a link without a peer.
    Second,
    /// The address towards the second node.
    Node2,
    /// The address towards the client.
    Outside,
    /// The address of the bridge.
    Bridge,
    /// The address of `lo`.
    Loopback,
}

/// The internal and external traffic policies of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Policy {
    Cluster,
    /// Local, with an endpoint on the node.
    LocalWith,
    /// Local, without an endpoint on the node.
    LocalWithout,
    /// Local, without an endpoint on the node, for a Service with a cluster IP alone.
    LocalWithoutInside,
}

/// The place that sends requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// A pod of the node that is not an endpoint.
    Pod,
    /// A pod that is an endpoint.
    Itself,
    Host,
    Outside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    kind: Kind,
    policy: Policy,
    from: Origin,
}

const KINDS: [Kind; 9] = [
    Kind::ClusterIp,
    Kind::NodePort(NodeAddress::Primary),
    Kind::NodePort(NodeAddress::Second),
    Kind::NodePort(NodeAddress::Node2),
    Kind::NodePort(NodeAddress::Outside),
    Kind::NodePort(NodeAddress::Bridge),
    Kind::NodePort(NodeAddress::Loopback),
    Kind::LoadBalancer,
    Kind::ExternalIp,
];
const POLICIES: [Policy; 4] = [
    Policy::Cluster,
    Policy::LocalWith,
    Policy::LocalWithout,
    Policy::LocalWithoutInside,
];
const ORIGINS: [Origin; 4] = [Origin::Pod, Origin::Itself, Origin::Host, Origin::Outside];

/// Number of requests for each case: round robin reaches every endpoint twice.
const ATTEMPTS: usize = 4;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |cell: Cell| {
        let name = format!("matrix::{}::{}::from_{}", cell.kind, cell.policy, cell.from);
        case(name, move || cell.check(site()?))
    };
    cells().map(trial).collect()
}

/// Returns the meaningful cells.
fn cells() -> impl Iterator<Item = Cell> {
    let all = KINDS.into_iter().flat_map(|kind| {
        let of_kind = move |policy| ORIGINS.map(|from| Cell { kind, policy, from });
        POLICIES.into_iter().flat_map(of_kind)
    });
    all.filter(|cell| {
        let loopback = cell.kind == Kind::NodePort(NodeAddress::Loopback);
        let inside = cell.policy == Policy::LocalWithoutInside;
        let without = inside || cell.policy == Policy::LocalWithout;
        // Each place has a loopback address of its own. Only an endpoint can reach itself.
        (!loopback || cell.from == Origin::Host)
            && (!inside || cell.kind == Kind::ClusterIp)
            && (!without || cell.from != Origin::Itself)
    })
}

/// The cluster, with the program that writes the node's tables.
struct Site {
    lab: Lab,
    _running: Running,
}

static SITE: OnceLock<Outcome<Site>> = OnceLock::new();
static TABLE: Mutex<BTreeMap<Cell, String>> = Mutex::new(BTreeMap::new());

fn site() -> Outcome<&'static Site> {
    SITE.get_or_init(Site::build)
        .as_ref()
        .map_err(|failure| Failure::new(format!("the site: {failure}")))
}

impl Site {
    fn build() -> Outcome<Self> {
        let lab = Lab::build()?;
        let objects = lab
            .world
            .write_objects("objects.json", objects::all(&lab)?)?;
        let config = lab.world.write("config.yaml", objects::CONFIG)?;
        let node_state = lab.world.write("node.yaml", objects::NODE_STATE)?;
        let wanted = Wanted {
            objects: &objects,
            config: &config,
            node_state: &node_state,
        };
        let running = Proxy::chosen()?.run(&lab.world, wanted, Source::Server)?;
        Ok(Self {
            lab,
            _running: running,
        })
    }
}

impl Cell {
    /// Sends requests over all protocols and families at the same time.
    fn check(self, site: &Site) -> Outcome {
        let combinations: Vec<(Family, Protocol)> = FAMILIES
            .into_iter()
            .flat_map(|family| Protocol::ALL.map(|protocol| (family, protocol)))
            .collect();
        let asks: Vec<Ask> = combinations
            .iter()
            .map(|(family, protocol)| Ask {
                over: Over::Transport(*protocol),
                target: self.target(*family, *protocol),
                source: None,
            })
            .collect();
        let volley = Volley {
            attempts: ATTEMPTS,
            ..Volley::new(site.lab.place(self.from.place())?)
        };
        let expect = expected(self);
        let mut wrong = Vec::new();
        for ((family, protocol), (ask, replies)) in
            combinations.iter().zip(asks.iter().zip(volley.ask(&asks)?))
        {
            if let Err(failure) = self.judge(site, expect, *family, ask.target, &replies) {
                wrong.push(format!("{}/{protocol}: {failure}", ask.target));
            }
        }
        let all = combinations.len();
        let line = format!("{expect} {}/{all}", all - wrong.len());
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(self, line);
        ensure(wrong.is_empty(), || wrong.join("\n"))
    }

    fn judge(
        self,
        site: &Site,
        expect: Expect,
        family: Family,
        target: SocketAddr,
        replies: &[Reply],
    ) -> Outcome {
        let pods = match expect {
            Expect::Refused => {
                return all_are(replies, |reply| matches!(reply, Reply::Unreachable("port")));
            }
            Expect::Closed => {
                let closed =
                    |reply: &Reply| matches!(reply, Reply::Refused | Reply::Unreachable("port"));
                return all_are(replies, closed);
            }
            Expect::Served(pods) => pods,
        };
        let mut wanted = BTreeMap::new();
        for (pod, seen) in pods {
            let address = match seen {
                Seen::Origin => site.lab.address(self.from.place(), family)?,
                Seen::Target => target.ip(),
                Seen::Node => objects::node_towards(pod, family),
            };
            wanted.insert((*pod).to_owned(), address);
        }
        let mut found: BTreeMap<String, IpAddr> = BTreeMap::new();
        for reply in replies {
            let Reply::Answered(answer) = reply else {
                return Err(Failure::new(format!("expected an answer, found {reply:?}")));
            };
            found.insert(answer.pod.clone(), answer.seen_from);
        }
        ensure(found == wanted, || {
            format!("expected answers and sources {wanted:?}, found {found:?}")
        })
    }

    fn target(self, family: Family, protocol: Protocol) -> SocketAddr {
        objects::target(self.kind, self.policy, family, protocol)
    }
}

fn all_are(replies: &[Reply], is: impl Fn(&Reply) -> bool) -> Outcome {
    ensure(replies.iter().all(is), || {
        format!("expected refusals, found {replies:?}")
    })
}

impl Origin {
    fn place(self) -> &'static str {
        match self {
            Self::Pod => "podB",
            Self::Itself => "podA",
            Self::Host => "host",
            Self::Outside => "client",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClusterIp => "cluster_ip",
            Self::NodePort(NodeAddress::Primary) => "node_port_at_the_first_address",
            Self::NodePort(NodeAddress::Second) => "node_port_at_the_second_address",
            Self::NodePort(NodeAddress::Node2) => "node_port_at_the_link_to_node2",
            Self::NodePort(NodeAddress::Outside) => "node_port_at_the_link_outside",
            Self::NodePort(NodeAddress::Bridge) => "node_port_at_the_bridge",
            Self::NodePort(NodeAddress::Loopback) => "node_port_at_loopback",
            Self::LoadBalancer => "load_balancer",
            Self::ExternalIp => "external_ip",
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::LocalWith => "local_with",
            Self::LocalWithout => "local_without",
            Self::LocalWithoutInside => "local_without_and_inside_only",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pod => "a_pod",
            Self::Itself => "an_endpoint",
            Self::Host => "the_host",
            Self::Outside => "outside",
        })
    }
}

/// Prints the table of the cases that have run.
pub(crate) fn print() {
    let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if table.is_empty() {
        return;
    }
    println!(
        "\n{:<34}{:<31}{:<26}{:<40}{:<26}{:<26}",
        "matrix", "policy", "from a pod", "from an endpoint", "from the host", "from outside"
    );
    for kind in KINDS {
        for policy in POLICIES {
            let words = ORIGINS.map(|from| {
                table
                    .get(&Cell { kind, policy, from })
                    .map_or("", |word| word)
            });
            let [pod, itself, host, outside] = words;
            if words.iter().any(|word| !word.is_empty()) {
                let (kind, policy) = (kind.to_string(), policy.to_string());
                println!("{kind:<34}{policy:<31}{pod:<26}{itself:<40}{host:<26}{outside:<26}");
            }
        }
    }
}
