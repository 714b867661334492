//! What a real kube-proxy programmed for cluster IPs, and what we would.

use std::path::Path;
use std::process::ExitCode;

use conformance::recording::{Moment, cluster_ips_only, moments, scenarios};
use libtest_mimic::{Arguments, Failed, Trial};
use model::{NodeTables, text};
use planner::compile;

/// Where we differ, and why. A line that no longer applies fails.
const DIFFERENT: &[(&str, &str)] = &[
    // Without the topology annotation kube-proxy 1.30 looks at no hints. Since 1.33 hints alone decide.
    (
        "38-topology-hints",
        "kube-proxy: -a -t 10.96.9.3:80 -r 10.244.2.5:8080 -m -w 1",
    ),
    (
        "38-topology-hints/01-zone-change",
        "kube-proxy: -a -t 10.96.9.3:80 -r 10.244.1.5:8080 -m -w 1",
    ),
];

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let names = match scenarios(&folder) {
        Ok(names) if !names.is_empty() => names,
        other => {
            eprintln!("no scenarios in {}: {other:?}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    let trials = (names.into_iter())
        .map(|name| {
            let folder = folder.clone();
            Trial::test(name.clone(), move || check(&folder, &name))
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn check(folder: &Path, name: &str) -> Result<(), Failed> {
    for moment in moments(folder, name)? {
        check_moment(&moment)?;
    }
    Ok(())
}

fn check_moment(moment: &Moment) -> Result<(), Failed> {
    let (desired, _) = compile(&moment.cluster, &moment.config);
    let ours = lines(&desired.tables);
    let theirs = lines(&cluster_ips_only(moment.recorded.clone()));
    let found: Vec<String> = (ours.iter())
        .filter(|line| !theirs.contains(line))
        .map(|line| format!("kube-ipvs: {line}"))
        .chain(
            (theirs.iter())
                .filter(|line| !ours.contains(line))
                .map(|line| format!("kube-proxy: {line}")),
        )
        .collect();
    let listed: Vec<&str> = (DIFFERENT.iter())
        .filter(|(name, _)| *name == moment.name)
        .map(|(_, line)| *line)
        .collect();
    if found == listed {
        return Ok(());
    }
    Err(format!(
        "{}: the difference is\n  {}\nand listed is\n  {}",
        moment.name,
        found.join("\n  "),
        listed.join("\n  ")
    )
    .into())
}

fn lines(tables: &NodeTables) -> Vec<String> {
    let mut lines = text::virtual_server_lines(tables);
    lines.extend(text::address_lines(tables));
    lines
}
