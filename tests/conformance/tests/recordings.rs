//! Compares the tables of a real kube-proxy with ours, except for the differences in
//! `deviations.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use conformance::deviations::{Deviations, Place};
use conformance::outcome::outcome;
use conformance::recording::{moments, scenarios};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    match trials(folder) {
        Ok(trials) => libtest_mimic::run(&Arguments::from_args(), trials).exit_code(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns a test for each scenario and one for each entry of the list, which must apply to a
/// difference.
fn trials(folder: &Path) -> Result<Vec<Trial>, String> {
    let list = folder.join("deviations.toml");
    let text = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let deviations =
        Deviations::parse(&text).map_err(|error| format!("{}: {error}", list.display()))?;
    let recordings = folder.join("recordings");
    let names = scenarios(&recordings).map_err(|error| error.to_string())?;
    if names.is_empty() {
        return Err(format!("no recordings in {}", recordings.display()));
    }
    let mut applied = BTreeSet::new();
    let mut trials = Vec::new();
    for name in names {
        let failures = match moments(&recordings, &name) {
            Ok(moments) => {
                let outcome = outcome(moments, &deviations);
                applied.extend(outcome.applied);
                outcome.failures
            }
            Err(error) => vec![error],
        };
        trials.push(trial(name, failures));
    }
    trials.extend(of_list(&deviations, &applied));
    Ok(trials)
}

fn of_list(deviations: &Deviations, applied: &BTreeSet<Place>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (index, entry) in deviations.entries.iter().enumerate() {
        let idle = (entry.lines().enumerate())
            .filter(|(line, _)| !applied.contains(&(index, *line)))
            .map(|(_, line)| format!("no recording differs by `{line}` any more"))
            .collect();
        trials.push(trial(format!("deviations.toml: {}", entry.title), idle));
    }
    trials
}

fn trial(name: String, failures: Vec<String>) -> Trial {
    Trial::test(name, move || match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n").into()),
    })
}
