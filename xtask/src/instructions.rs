//! Compares the instruction counts of the workloads in `tests/workloads` with the committed
//! baseline.
//!
//! | module | contents |
//! |---|---|
//! | [`baseline`] | the baseline file, and the comparison of a count with it |
//! | [`callgrind`] | the program, and counting its instructions |

mod baseline;
mod callgrind;

use std::fs;
use std::path::PathBuf;

use self::baseline::{Baseline, percent};
use self::callgrind::Callgrind;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::libtest::Counts;
use crate::project::Project;
use crate::say::say;

/// Path of the baseline from the workspace's root.
const BASELINE: &str = "tests/workloads/instructions.toml";

/// Counts the workloads whose name contains one of `filters`, or all without filters, and compares
/// them with the baseline. Each workload is one test.
///
/// # Errors
/// When the program cannot be built, valgrind cannot be fetched, or the baseline cannot be read.
pub(crate) fn check(project: &Project, filters: &[String]) -> Result<Counts> {
    let known = read(project)?;
    let callgrind = Callgrind::prepare(project)?;
    let tools = known.tools_that_differ(&callgrind.tools()?);
    let chosen = |name: &str| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let mut counts = Counts::default();
    let mut judge = |name: &str, judged: std::result::Result<String, String>| match judged {
        Ok(line) => {
            say(format_args!("{name}: {line}"));
            counts.passed += 1;
        }
        Err(why) => {
            counts.failed += 1;
            let why = format!("{name}: {why}{tools}");
            say(format_args!("FAILED: {why}"));
            counts.reasons.push(why);
        }
    };
    let names = callgrind.workloads()?;
    for name in names.iter().filter(|name| chosen(name)) {
        let counted = callgrind.count(name).map_err(|error| error.to_string());
        judge(name, counted.and_then(|counted| known.judge(name, counted)));
    }
    for name in known.without_workload(&names).filter(|name| chosen(name)) {
        judge(
            name,
            Err(format!("{BASELINE} has it, but there is no such workload")),
        );
    }
    Ok(counts)
}

/// Counts all workloads and writes the baseline.
///
/// # Errors
/// As [`check`], and when a workload cannot be counted or the baseline cannot be written.
pub(crate) fn bless(project: &Project) -> Result {
    // A missing or invalid baseline is written from scratch.
    let known = read(project).unwrap_or_default();
    let callgrind = Callgrind::prepare(project)?;
    let mut baseline = Baseline {
        tools: callgrind.tools()?,
        ..Baseline::default()
    };
    for name in callgrind.workloads()? {
        let counted = callgrind.count(&name)?;
        let change = match known.instructions.get(&name) {
            Some(known) => percent(counted, *known),
            None => "new".to_owned(),
        };
        say(format_args!("{name}: {counted} instructions ({change})"));
        baseline.instructions.insert(name, counted);
    }
    files::write(&path(project), baseline.print())
}

fn path(project: &Project) -> PathBuf {
    project.root.join(BASELINE)
}

fn read(project: &Project) -> Result<Baseline> {
    let path = path(project);
    let text = fs::read_to_string(&path).context(|| {
        format!(
            "reading {} (`{}` writes it)",
            path.display(),
            baseline::BLESS
        )
    })?;
    Baseline::parse(&text).map_err(|why| Error::new(format!("{}: {why}", path.display())))
}
