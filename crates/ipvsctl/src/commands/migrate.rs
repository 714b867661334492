//! `ipvsctl migrate`.

use kernel::OpenError;
use kernel::linux::leftovers::Sweeper;
use model::Snapshot;
use sources::proxy;

use crate::cli::{Migrate, MigrateCommand};
use crate::error::{Error, Status};
use crate::grouping::{Changes, Selection};
use crate::input::live;
use crate::input::node::on_loopback;
use crate::input::view::View;
use crate::migration::{Migration, cut};
use crate::output::{self, plan, show};
use crate::schema;

/// Prints the effects of a take-over.
///
/// # Errors
///
/// The node, the cluster or the live tables cannot be read, or the output cannot be written.
pub fn run(args: &Migrate) -> Result<Status, Error> {
    let MigrateCommand::Check(args) = &args.command;
    let of_kernel = args.compared.live.is_none();
    let (mut has_ipvs, mut leftovers, mut metrics) = (true, None, args.metrics_address);
    let view = View::read_with(&args.compared, None, None, |node| {
        let configured = node.config.settings.metrics_bind_address;
        metrics = metrics.or(Some(configured.map_or(proxy::METRICS, on_loopback)));
        leftovers = Some(Sweeper::open(node.backend()).find());
        match live::read_only_kernel() {
            Ok(mut kernel) => live::of_kernel(&mut kernel, node),
            // A node of another mode of kube-proxy may not have loaded IPVS.
            Err(Error::Open(OpenError::NoModule { .. })) => {
                has_ipvs = false;
                Ok(Snapshot::default())
            }
            Err(error) => Err(error),
        }
    })?;
    let View {
        input, live, plan, ..
    } = view;
    let migration = Migration {
        cut: of_kernel.then(|| cut(&plan, &live)),
        plan,
        proxy: metrics.and_then(|address| Some((address, proxy::running(address)?))),
        forced: args.force,
        leftovers: leftovers.transpose().map_err(Error::Observe)?,
        whole: input.whole,
        has_ipvs,
    };
    let changes = Changes::of(&migration.plan, &input.claims, Selection::default());
    let planned = schema::Planned {
        node: &input.config.node_name,
        findings: &input.findings,
        plan: &migration.plan,
        changes: &changes,
        live: &live.tables.rules,
    };
    show(
        args.output,
        || schema::Migration::new(planned, &migration),
        || output::migration::text(&plan::text(&changes, planned.live), &migration),
    )?;
    Ok(input.status(!migration.in_the_way().is_empty()))
}
