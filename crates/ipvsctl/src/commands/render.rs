//! `ipvsctl render`.

use std::fmt::Write as _;

use model::{Desired, text};

use crate::cli::{Render, Section};
use crate::error::{Error, Status};
use crate::input::node::{self, Fallback};
use crate::input::{Input, cluster};
use crate::output::show;
use crate::schema;

/// Prints the desired tables for the objects in files.
///
/// # Errors
///
/// No node is named, its configuration has mistakes, or the output cannot be written.
pub fn run(args: &Render) -> Result<Status, Error> {
    let node = node::read(&args.node, Fallback::Nothing)?;
    let cluster =
        cluster::from_files(&args.files.paths, args.files.strict, None).unless_unread()?;
    let input = Input::compile(cluster, node).report();
    show(
        args.output,
        || object(&input),
        || sections(&input.desired, &args.sections),
    )?;
    Ok(input.status(false))
}

fn object(input: &Input) -> schema::NodeTables {
    let owners = &input.desired.owners.virtual_servers;
    let tables = &input.desired.tables;
    schema::NodeTables {
        node_name: Some(input.config.node_name.to_string()),
        findings: input.findings.iter().map(Into::into).collect(),
        ..schema::NodeTables::empty()
            .with_servers(tables, owners)
            .with_addresses(tables)
            .with_desired_filter_state(&input.desired)
    }
}

/// Returns the text of the `wanted` sections; of all sections if `wanted` is empty.
fn sections(desired: &Desired, wanted: &[Section]) -> String {
    let whole = text::print(&desired.tables) + &health_checks(desired);
    if wanted.is_empty() {
        return whole;
    }
    let mut shown = false;
    let mut lines = String::new();
    for line in whole.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            shown = wanted.iter().any(|section| section.heading() == heading);
        }
        if shown {
            let _ = writeln!(lines, "{line}");
        }
    }
    lines
}

/// Returns lines such as `#31188 default/web 2`: port, Service, ready endpoints on this node. They
/// are comments for `--live`, since no kernel table contains them.
fn health_checks(desired: &Desired) -> String {
    let mut text = String::new();
    for (index, (service, check)) in desired.health_checks.iter().enumerate() {
        if index == 0 {
            text.push_str("# health-checks\n");
        }
        let _ = writeln!(text, "#{} {service} {}", check.port, check.local_endpoints);
    }
    text
}
