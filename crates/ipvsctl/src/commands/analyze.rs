//! `ipvsctl analyze`.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::path::Path;

use model::{Finding, Level};

use crate::cli::Analyze;
use crate::error::{Error, Status};
use crate::input::desired::Origin;
use crate::input::{Input, running};
use crate::output::{findings, print, show};
use crate::schema;
use crate::style;

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
    let input = input(args, Path::new(running::PROC))?;
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

/// Reads the objects. `proc` shows the processes of the node.
fn input(args: &Analyze, proc: &Path) -> Result<Input, Error> {
    let origin = Origin::find(&args.source, &args.node, proc);
    let mut node = origin.node()?;
    let cluster = origin.cluster(&mut node)?;
    Ok(Input::compile(cluster, node))
}

/// Returns a finding as it prints, with its level in colour.
fn line(finding: &Finding) -> String {
    let Finding {
        code,
        kind: _,
        object: _,
        field,
        problem,
        consequence,
    } = finding;
    let level = code.level();
    let style = match level {
        Level::Error => style::ERROR,
        Level::Warning => style::WARNING,
        Level::Info => style::QUIET,
    };
    let subject = finding.subject();
    format!("{code} {style}{level}{style:#} {subject}: {field}: {problem}; {consequence}")
}

/// Returns a line for each finding and one with their numbers.
fn text(found: &[&Finding], input: &Input) -> String {
    let mut text = String::new();
    for finding in found {
        let _ = writeln!(text, "{}", line(finding));
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::input::running::tests::Proc;

    #[test]
    fn objects_are_those_of_the_running_daemon() {
        let proc = Proc::new();
        proc.process(7, "kube-ipvsd", &["--manifests", "web.yaml"]);
        let cli = Cli::try_parse_from(["ipvsctl", "analyze"]).expect("arguments");
        let Command::Analyze(args) = cli.command else {
            panic!("another command");
        };
        let input = input(&args, &proc.path("")).expect("an input");
        assert_eq!((&*input.config.node_name, input.services), ("node7", 1));
    }
}
