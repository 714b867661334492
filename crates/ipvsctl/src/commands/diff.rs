//! `ipvsctl diff`.

use std::path::{Path, PathBuf};

use model::text::Part;
use model::{PlannedOp, Reason};

use crate::cli::Diff;
use crate::error::{Error, Status};
use crate::grouping::{Changes, Selection};
use crate::input::live;
use crate::input::view::View;
use crate::output::{patch, plan, print, show};
use crate::schema::{self, Planned};
use crate::style;

/// Prints the difference between the desired and the live tables, or between two saved tables.
///
/// # Errors
///
/// The node, the cluster or the tables cannot be read, or the output cannot be written.
pub fn run(args: &Diff) -> Result<Status, Error> {
    if let [first, second] = &args.tables[..] {
        return tables(args, first, second);
    }
    let view = View::read(&args.compared)?;
    let View {
        input, plan, live, ..
    } = &view;
    report_unsaved(&view);
    for service in &args.services {
        if input.whole && input.cluster.service(service).is_none() {
            style::warning(&format!(
                "--service {service}: the input has no such Service; deletions of its entries are in the group \
                 (no Service)"
            ));
        }
    }
    let changes = view.changes(Selection {
        services: &args.services,
        kinds: &args.kinds,
    });
    print_changes(
        args,
        Planned {
            node: &input.config.node_name,
            findings: &input.findings,
            plan,
            changes: &changes,
            live: &live.tables.rules,
        },
    )?;
    Ok(view.status(changes.iter().next().is_some() || plan.withheld > 0))
}

/// Names the parts that a file of saved tables lacks, and what follows for the comparison.
fn report_unsaved(view: &View) {
    let View {
        input,
        plan,
        unsaved,
        ..
    } = view;
    // View reports addresses. Connections matter for drains alone, and virtual servers are in every
    // file of text.
    let is_reported = |part: &&Part| match part {
        Part::Addresses | Part::Connections | Part::Node => false,
        Part::SyncDaemons => !input.desired.tables.sync_daemons.is_empty(),
        Part::Timeouts => input.desired.tables.timeouts != ipvs::Timeouts::default(),
        Part::VirtualServers | Part::Sets | Part::Rules | Part::Settings => true,
    };
    let parts = unsaved.iter().filter(is_reported);
    let parts: Vec<String> = parts.map(ToString::to_string).collect();
    if !parts.is_empty() {
        style::note(&format!(
            "the saved tables lack {}, which are not compared; ipvsctl get tables -o text saves everything",
            parts.join(", ")
        ));
    }
    let assumes_idle = |planned: &PlannedOp| planned.reason == Reason::Drained;
    if unsaved.contains(&Part::Connections) && plan.ops().any(assumes_idle) {
        style::note(
            "the saved tables lack connections: real servers of weight 0 show as deletions although they may \
             still have connections",
        );
    }
    let is_unknown = unsaved.contains(&Part::Node) && input.node.interfaces.is_empty();
    if is_unknown && !plan.is_empty() {
        style::note(
            "the saved tables lack the interfaces of the node: node ports may show as deletions and kernel \
             settings as changes; give --node-state FILE, or save the tables with ipvsctl get tables -o text",
        );
    }
}

/// Prints the difference between two saved tables.
fn tables(args: &Diff, first: &PathBuf, second: &PathBuf) -> Result<Status, Error> {
    if [first, second].iter().all(|path| *path == Path::new("-")) {
        return Err(Error::TablesTwice);
    }
    let [first, second] = live::two(first, second)?;
    let plan = planner::between(&first, &second);
    let changes = Changes::of_tables(&plan, &args.kinds);
    print_changes(
        args,
        Planned {
            node: "",
            findings: &[],
            plan: &plan,
            changes: &changes,
            live: &first.rules,
        },
    )?;
    Ok(match changes.iter().next() {
        Some(_) => Status::Found,
        None => Status::Done,
    })
}

fn print_changes(args: &Diff, planned: Planned<'_>) -> Result<(), Error> {
    let Planned {
        plan,
        changes,
        live,
        ..
    } = planned;
    let Some(format) = args.output.common() else {
        return print(&patch::text(plan, changes));
    };
    show(
        format,
        || schema::Plan::new(planned),
        || match args.stat {
            true => plan::stat(changes),
            false => plan::text(changes, live),
        },
    )
}
