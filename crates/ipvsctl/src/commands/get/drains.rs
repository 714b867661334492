//! `ipvsctl get drains`.

use std::net::SocketAddr;

use kernel::Saved;
use model::Snapshot;
use sources::proxy;

use crate::cli::Get;
use crate::error::{Error, Status};
use crate::input::{daemon, live};
use crate::output::{drains, show};
use crate::schema::{self, DaemonDrain, Drains};
use crate::style;

/// Prints draining real servers as kube-ipvsd and the kernel report them. One of the two is enough.
///
/// # Errors
///
/// The daemon and the kernel cannot be read, or the output cannot be written.
pub(super) fn run(args: &Get) -> Result<Status, Error> {
    let daemon = match (args.named.metrics_address, &args.live) {
        (Some(address), _) => ask(address),
        (None, None) => ask(proxy::METRICS),
        // Saved tables may be from another node.
        (None, Some(_)) => None,
    };
    let kernel = match (observe(args), &daemon) {
        (Ok(snapshot), _) => Some(snapshot),
        (Err(error), Some(_)) if args.live.is_none() => {
            style::warning(&format!(
                "connection counts are the last ones of kube-ipvsd, since the kernel cannot be read: {}",
                model::chain(&error)
            ));
            None
        }
        (Err(error), _) => return Err(error),
    };
    let found = schema::drains(&daemon.unwrap_or_default(), kernel.as_ref());
    show(
        args.output,
        || Drains::new(found.clone()),
        || drains::text(&found),
    )?;
    Ok(Status::Done)
}

fn observe(args: &Get) -> Result<Snapshot, Error> {
    match &args.live {
        None => live::observe(&mut live::read_only_kernel()?),
        Some(path) => live::observe(&mut Saved::from(live::saved(path)?.tables)),
    }
}

/// Returns the drains that kube-ipvsd at `address` reports, or `None` with a warning if it does not
/// answer.
fn ask(address: SocketAddr) -> Option<Vec<DaemonDrain>> {
    match daemon::drains(address) {
        Ok(drains) => Some(drains),
        Err(problem) => {
            style::warning(&format!(
                "cannot read drains from kube-ipvsd at {address}: {problem}; Service and times are \
                 unknown: name its address by --metrics-address"
            ));
            None
        }
    }
}
