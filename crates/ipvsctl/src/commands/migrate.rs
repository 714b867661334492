//! `ipvsctl migrate`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use ipvs::VirtualServerKey;
use kernel::OpenError;
use kernel::linux::leftovers::Sweeper;
use model::Snapshot;
use sources::proxy;

use crate::cli::{Migrate, MigrateCheck, MigrateCommand, PlanFormat};
use crate::error::{Error, Status};
use crate::input::node::{self, Fallback, Node, on_loopback};
use crate::input::{Input, cluster, live};
use crate::migration::{Migration, cut};
use crate::output::{self, print, print_json};
use crate::schema;

/// Prints the effects of a take-over. Reports errors itself, since they have another exit status
/// than those of other commands.
pub fn run(args: &Migrate) -> Status {
    let MigrateCommand::Check(args) = &args.command;
    check(args).unwrap_or_else(|error| {
        error.report();
        Status::NotChecked
    })
}

/// Live state of a node.
struct Found {
    live: Snapshot,
    /// Virtual servers that are ours whatever their address.
    ours: BTreeSet<VirtualServerKey>,
    has_ipvs: bool,
}

impl Found {
    fn saved(live: Snapshot, ours: BTreeSet<VirtualServerKey>) -> Self {
        Self {
            live,
            ours,
            has_ipvs: true,
        }
    }
}

fn check(args: &MigrateCheck) -> Result<Status, Error> {
    let stdin = Path::new("-");
    if args.live.as_deref() == Some(stdin) && args.source.paths.iter().any(|path| path == stdin) {
        return Err(Error::StandardInputTwice);
    }
    let mut node = node::read(&args.node, Fallback::Host)?;
    let settings = &node.config.settings;
    let backend = node.backend();
    let metrics = metrics(args, settings.metrics_bind_address);
    let cluster = cluster::from_source(&args.source, &node)?;
    let compile = |node| Input::compile(&cluster.state, cluster.whole, node).report();
    let (input, found) = match &args.live {
        Some(path) => {
            let input = compile(node);
            let (live, ours) = live::of_file(path, &input)?;
            (input, Found::saved(live, ours))
        }
        None => {
            let found = observe(&mut node)?;
            (compile(node), found)
        }
    };
    let plan = super::diff::compare(&input, &found.live, found.ours);
    let of_kernel = args.live.is_none();
    let leftovers = of_kernel.then(|| Sweeper::open(backend).find());
    let migration = Migration {
        cut: of_kernel.then(|| cut(&plan, &found.live)),
        plan,
        proxy: metrics.and_then(|address| Some((address, proxy::running(address)?))),
        forced: args.force,
        leftovers: leftovers.transpose().map_err(Error::Observe)?,
        whole: input.whole,
        has_ipvs: found.has_ipvs,
    };
    match args.output {
        PlanFormat::Text => print(&output::migration::text(&migration))?,
        PlanFormat::Json => print_json(&schema::Migration::new(
            &input.config.node_name,
            &input.findings,
            &migration,
        ))?,
    }
    Ok(if !input.whole {
        Status::NotChecked
    } else if migration.in_the_way().is_empty() {
        Status::Done
    } else {
        Status::InTheWay
    })
}

/// Reads the kernel of this node.
fn observe(node: &mut Node) -> Result<Found, Error> {
    let (live, has_ipvs) = match live::read_only_kernel() {
        Ok(mut kernel) => (live::of_kernel(&mut kernel, node)?, true),
        // A node of another mode of kube-proxy may not have loaded IPVS.
        Err(Error::Open(OpenError::NoModule { .. })) => (Snapshot::default(), false),
        Err(error) => return Err(error),
    };
    Ok(Found {
        live,
        ours: BTreeSet::new(),
        has_ipvs,
    })
}

/// Returns the metrics address to ask; `None` for saved tables, which may be from another node.
fn metrics(args: &MigrateCheck, configured: Option<SocketAddr>) -> Option<SocketAddr> {
    if args.metrics_address.is_some() {
        return args.metrics_address;
    }
    let address = configured.map_or(proxy::METRICS, on_loopback);
    args.live.is_none().then_some(address)
}
