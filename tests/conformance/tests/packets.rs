//! Compares the paths of packets on a node of a real kube-proxy with those by our tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use conformance::packets::{
    Comparison, RECORDINGS, check_explanation, difference, probes, recorded_node,
    tables_of_kube_proxy,
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let trials = (RECORDINGS.into_iter())
        .map(|(name, config, bridge)| {
            Trial::test(format!("probes_of_{}", name.replace('-', "_")), move || {
                check(name, config, bridge)
            })
        })
        .chain([
            Trial::test("every_listed_difference_is_there", all_apply),
            Trial::test(
                "by_kube_proxys_tables_every_probe_ends_as_recorded",
                by_their_tables,
            ),
            Trial::test("steps_explain_every_verdict", explained),
        ])
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packets")
}

fn check(name: &str, config: &str, bridge: bool) -> Result<(), Failed> {
    let comparison = compare(name, config, bridge)?;
    println!("{name}: {comparison}");
    let unlisted = comparison.unlisted;
    if unlisted.is_empty() {
        return Ok(());
    }
    let lines = unlisted.join("\n  ");
    Err(format!("{name}: {} probes:\n  {lines}", unlisted.len()).into())
}

fn all_apply() -> Result<(), Failed> {
    let mut used: BTreeMap<String, bool> = BTreeMap::new();
    for (name, config, bridge) in RECORDINGS {
        for (pattern, here) in compare(name, config, bridge)?.patterns() {
            *used.entry(pattern.to_owned()).or_default() |= here;
        }
    }
    let stale: Vec<String> = (used.into_iter())
        .filter(|(_, used)| !used)
        .map(|(pattern, _)| pattern)
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("listed, but no probe differs: {}", stale.join(", ")).into())
}

/// Checks traces themselves with the recordings: only our deviations change a result.
fn by_their_tables() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (name, config, bridge) in RECORDINGS {
        let node = recorded_node(&folder(), config)?;
        let mut world = node.world;
        world.bridge_calls_iptables = bridge;
        let tables = tables_of_kube_proxy(&node.tables, &node.cluster);
        let probes = probes(&folder(), name)?;
        println!("{name}: {} by kube-proxy's tables", probes.len());
        wrong.extend((probes.iter()).filter_map(|recorded| difference(&tables, &world, recorded)));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{} probes:\n  {}", wrong.len(), wrong.join("\n  ")).into())
}

/// Checks that the steps of every probe lead to its verdict.
fn explained() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (name, config, bridge) in RECORDINGS {
        let node = recorded_node(&folder(), config)?;
        let mut world = node.world;
        world.bridge_calls_iptables = bridge;
        let ours = &node.tables;
        let theirs = tables_of_kube_proxy(ours, &node.cluster);
        for recorded in probes(&folder(), name)? {
            for tables in [ours, &theirs] {
                let trace = trace::trace(tables, &world, &recorded.probe);
                wrong.extend(check_explanation(&trace).err());
            }
        }
    }
    match wrong.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} traces, the first: {first}", wrong.len()).into()),
    }
}

fn compare(name: &str, config: &str, bridge: bool) -> Result<Comparison, Failed> {
    let node = recorded_node(&folder(), config)?;
    let (tables, mut world) = (node.tables, node.world);
    world.bridge_calls_iptables = bridge;
    let mut comparison = Comparison::begin(&folder(), name)?;
    for recorded in probes(&folder(), name)? {
        let found = difference(&tables, &world, &recorded);
        comparison.add(&recorded, found);
    }
    Ok(comparison)
}
