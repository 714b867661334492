//! `ipvsctl get drains`.

use std::net::SocketAddr;

use kernel::Saved;
use model::Snapshot;
use sources::proxy;

use crate::cli::{Get, GetFormat};
use crate::error::{Error, Status};
use crate::input::{daemon, live};
use crate::output::{drains, print, print_json, print_yaml};
use crate::schema::{self, DaemonDrain, Drains};
use crate::style;

/// Prints the real servers that drain, by the daemon's word and the kernel's: one of the two is enough.
///
/// # Errors
///
/// Neither can be read, or the output cannot be written.
pub(super) fn run(args: &Get) -> Result<Status, Error> {
    let daemon = match (args.metrics_address, &args.live) {
        (Some(address), _) => ask(address),
        (None, None) => ask(proxy::METRICS),
        // Saved tables may be another node's.
        (None, Some(_)) => None,
    };
    let kernel = match (observe(args), &daemon) {
        (Ok(snapshot), _) => Some(snapshot),
        (Err(error), Some(_)) if args.live.is_none() => {
            style::warning(&format!(
                "connections are those that the daemon counted last: {}",
                model::chain(&error)
            ));
            None
        }
        (Err(error), _) => return Err(error),
    };
    let found = schema::drains(&daemon.unwrap_or_default(), kernel.as_ref());
    match args.output {
        GetFormat::Json => print_json(&Drains::new(found))?,
        GetFormat::Yaml => print_yaml(&Drains::new(found))?,
        GetFormat::Table | GetFormat::Wide | GetFormat::Text => print(&drains::text(&found))?,
    }
    Ok(Status::Done)
}

fn observe(args: &Get) -> Result<Snapshot, Error> {
    match &args.live {
        None => live::observe(&mut live::read_only_kernel()?),
        Some(path) => live::observe(&mut Saved::from(live::saved(path)?.tables)),
    }
}

/// Returns the drains that the daemon at `address` reports; none where none answers, or kube-proxy does.
fn ask(address: SocketAddr) -> Option<Vec<DaemonDrain>> {
    match daemon::drains(address) {
        Ok(drains) => Some(drains),
        Err(problem) => {
            style::warning(&format!(
                "kube-ipvsd does not tell at {address} what drains, and since when: {problem}"
            ));
            None
        }
    }
}
