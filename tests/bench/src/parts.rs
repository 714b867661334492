//! The parts of a first sync, done by other programs.

use std::path::Path;
use std::time::Duration;

use kernel::{Kernel as _, LinuxKernel, ModulePolicy};
use model::{Desired, Scope};
use netlink::Protocol;
use support::namespace::in_namespace;

use crate::Outcome;
use crate::limit::{self, Sent, replay};
use crate::node::Node;
use crate::peers;
use crate::report::{figure, sample};
use crate::shape::Shape;

const LIMIT: &str = "limit";

/// Desired tables of a first sync, and its messages.
pub(crate) struct Recorded {
    pub(crate) desired: Desired,
    sent: Sent,
}

/// Runs one first sync and records its messages.
pub(crate) fn record(shape: Shape) -> Outcome<Recorded> {
    let (desired, sent) = in_namespace(|| {
        limit::prepare();
        limit::record(|| {
            let mut node = Node::start()?;
            node.take(shape.events())?;
            Ok(node.desired().clone())
        })
    })?;
    let datagrams = sent.datagrams as f64;
    figure("cold sync", shape, "netlink datagrams sent", datagrams, "");
    Ok(Recorded { desired, sent })
}

/// Sends the same datagrams again, and checks that they have the same result.
pub(crate) fn limits(shape: Shape, recorded: &Recorded) -> Outcome {
    let Recorded { desired, sent } = recorded;
    in_namespace(|| {
        limit::prepare();
        let addresses = replay(Protocol::Route, &sent.addresses)?;
        sample("write addresses", shape, LIMIT, addresses);
        let sets = replay(Protocol::Netfilter, &sent.sets)?;
        sample("write sets", shape, LIMIT, sets);
        let servers = replay(Protocol::Generic, &sent.servers)?;
        sample("write servers", shape, LIMIT, servers);
        // Only this program can give rules to x_tables, so it is their limit.
        let rules = peers::iptables_restore(desired)?;
        sample("write rules", shape, "iptables-restore", rules);
        let mut kernel = LinuxKernel::open(ModulePolicy::Load)?;
        let live = kernel.observe(&Scope::EVERYTHING)?.tables;
        let same = live.virtual_servers == desired.tables.virtual_servers
            && live.addresses == desired.tables.addresses
            && live.sets == desired.tables.sets;
        match same {
            true => Ok(()),
            false => Err("the repeated datagrams had another result".into()),
        }
    })
}

/// Measures the times of other programs.
pub(crate) fn peers(shape: Shape, desired: &Desired, folder: &Path) -> Outcome {
    let show = |operation: &'static str, who: &'static str, took: Outcome<Duration>| -> Outcome {
        sample(operation, shape, who, took?);
        Ok(())
    };
    in_namespace(|| {
        show(
            "write servers",
            "ipvsadm -R",
            peers::ipvsadm_restore(desired),
        )?;
        show("full read", "ipvsadm -Ln", peers::ipvsadm_list(desired))?;
        show("write sets", "ipset restore", peers::ipset_restore(desired))?;
        show("write addresses", "ip -batch", peers::ip_batch(desired))
    })?;
    in_namespace(|| {
        let routes = peers::local_routes(shape);
        show("write addresses", "ip route, no addresses", routes)
    })?;
    in_namespace(|| {
        show(
            "write servers",
            "keepalived",
            peers::keepalived(desired, folder),
        )
    })
}
