//! Runs every scenario in `scenarios`. With `BLESS=1` in the environment, the results of their
//! steps are first written into them (`cargo xtask bless`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use conformance::scenario;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let arguments = Arguments::from_args();
    match trials(&folder, &arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn trials(folder: &Path, arguments: &Arguments) -> Result<Vec<Trial>, String> {
    let paths = paths(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if paths.is_empty() {
        return Err(format!("no scenarios in {}", folder.display()));
    }
    let blesses = std::env::var_os("BLESS").is_some() && !arguments.list;
    let mut trials = Vec::new();
    for path in paths {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if blesses && is_meant(&name, arguments) {
            bless(&path)?;
        }
        trials.push(Trial::test(name, move || {
            let scenario = scenario::read(&path)?;
            Ok(scenario::check(&scenario)?)
        }));
    }
    Ok(trials)
}

fn paths(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "scenario")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_meant(name: &str, arguments: &Arguments) -> bool {
    match &arguments.filter {
        Some(filter) if arguments.exact => name == filter,
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    }
}

/// Writes the results into a scenario. A scenario that cannot be blessed stays unchanged: its test
/// reports the reason.
fn bless(path: &Path) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(wrong)?;
    let blessed = scenario::read(path).and_then(|scenario| scenario::bless(&scenario, &text));
    match blessed {
        Ok(blessed) if blessed != text => {
            println!("blessed {}", path.display());
            fs::write(path, blessed).map_err(wrong)
        }
        _ => Ok(()),
    }
}
