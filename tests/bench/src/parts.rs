//! The parts of a cold synchronisation, done by others.

use std::path::Path;

use kernel::{Kernel as _, LinuxKernel, ModulePolicy};
use model::{Desired, Scope};
use netlink::Protocol;

use crate::Outcome;
use crate::limit::{self, Sent, replay};
use crate::namespace::within;
use crate::node::Node;
use crate::peers;
use crate::report::{figure, sample};
use crate::shape::Shape;

const LIMIT: &str = "limit";

/// The tables that a cold synchronisation wants, and the messages that it sends for them.
pub(crate) struct Recorded {
    pub(crate) desired: Desired,
    sent: Sent,
}

/// Does one cold synchronisation to see what it sends.
pub(crate) fn record(shape: Shape) -> Outcome<Recorded> {
    let (desired, sent) = within(|| {
        limit::prepare()?;
        limit::record(|| {
            let mut node = Node::start()?;
            node.take(shape.events())?;
            Ok(node.desired().clone())
        })
    })??;
    let datagrams = sent.datagrams as f64;
    figure("cold sync", shape, "netlink datagrams sent", datagrams, "");
    Ok(Recorded { desired, sent })
}

/// The same datagrams sent again, and that they do the same.
pub(crate) fn limits(shape: Shape, recorded: &Recorded) -> Outcome {
    let Recorded { desired, sent } = recorded;
    within(|| {
        limit::prepare()?;
        let addresses = replay(Protocol::Route, &sent.addresses)?;
        sample("write addresses", shape, LIMIT, addresses);
        sample(
            "write sets",
            shape,
            LIMIT,
            replay(Protocol::Netfilter, &sent.sets)?,
        );
        sample(
            "write servers",
            shape,
            LIMIT,
            replay(Protocol::Generic, &sent.servers)?,
        );
        // There is no other way to give rules to x_tables, so this is the limit of them.
        let rules = peers::iptables_restore(desired)?;
        sample("write rules", shape, "iptables-restore", rules);
        let mut kernel = LinuxKernel::open(ModulePolicy::Load)?;
        let live = kernel.observe(&Scope::EVERYTHING)?.tables;
        let same = live.virtual_servers == desired.tables.virtual_servers
            && live.addresses == desired.tables.addresses
            && live.sets == desired.tables.sets;
        match same {
            true => Ok(()),
            false => Err("what was sent again did not do the same".into()),
        }
    })?
}

/// Measures the times of other programs.
pub(crate) fn peers(shape: Shape, desired: &Desired, folder: &Path) -> Outcome {
    within(|| -> Outcome {
        sample(
            "write servers",
            shape,
            "ipvsadm -R",
            peers::ipvsadm_restore(desired)?,
        );
        sample(
            "full read",
            shape,
            "ipvsadm -Ln",
            peers::ipvsadm_list(desired)?,
        );
        sample(
            "write sets",
            shape,
            "ipset restore",
            peers::ipset_restore(desired)?,
        );
        sample(
            "write addresses",
            shape,
            "ip -batch",
            peers::ip_batch(desired)?,
        );
        Ok(())
    })??;
    within(|| -> Outcome {
        sample(
            "write addresses",
            shape,
            "ip route, no addresses",
            peers::local_routes(shape)?,
        );
        Ok(())
    })??;
    within(|| -> Outcome {
        sample(
            "write servers",
            shape,
            "keepalived",
            peers::keepalived(desired, folder)?,
        );
        Ok(())
    })?
}
