//! `ipvsctl analyze`.

use std::cmp::Reverse;
use std::fmt::Write as _;

use model::{Finding, Level};

use crate::cli::Analyze;
use crate::error::{Error, Status};
use crate::input::node::{self, Fallback};
use crate::input::{Input, cluster};
use crate::output::{findings, print, show};
use crate::schema;

/// Prints the findings about the objects of a cluster.
///
/// # Errors
///
/// The node or the cluster cannot be read, or the output cannot be written.
pub fn run(args: &Analyze) -> Result<Status, Error> {
    if let Some(code) = &args.explain {
        print(&findings::explain(*code))?;
        return Ok(Status::Done);
    }
    let node = node::read(&args.node, Fallback::Host)?;
    let cluster = cluster::from_source(&args.source, &node, None)?;
    let input = Input::compile(cluster, node);
    let least = args.level.level();
    let mut found: Vec<&Finding> = (input.findings.iter())
        .filter(|finding| finding.code.level() >= least)
        .collect();
    found.sort_by_key(|finding| (Reverse(finding.code.level()), *finding));
    show(
        args.output,
        || schema::Findings {
            api_version: schema::API_VERSION,
            kind: "Findings",
            node_name: input.config.node_name.to_string(),
            services: input.services,
            findings: found.iter().copied().map(Into::into).collect(),
        },
        || text(&found, &input),
    )?;
    let is_error = |finding: &Finding| finding.code.level() == Level::Error;
    Ok(input.status(input.findings.iter().any(is_error)))
}

/// Returns a line for each finding and one with their numbers.
fn text(found: &[&Finding], input: &Input) -> String {
    let mut text = String::new();
    for finding in found {
        let _ = writeln!(text, "{finding}");
    }
    let count = |level| {
        let of_level = |finding: &&Finding| finding.code.level() == level;
        input.findings.iter().filter(of_level).count()
    };
    let many = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    if !found.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "{}, {}, {} in {} for node {}",
        many(count(Level::Error), "error"),
        many(count(Level::Warning), "warning"),
        many(count(Level::Info), "info"),
        many(input.services, "Service"),
        input.config.node_name
    );
    text
}
