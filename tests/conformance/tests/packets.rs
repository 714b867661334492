//! Where packets went on a node of a real kube-proxy, and where they go by our tables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use conformance::packets::{
    Difference, RECORDINGS, Recorded, difference, differences, our_tables, probes,
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
        ])
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packets")
}

/// How the probes of a recording ended.
#[derive(Default)]
struct Count {
    equal: usize,
    listed: BTreeMap<String, usize>,
    unlisted: Vec<String>,
    /// Patterns that a differing probe was found for, by entry and place.
    used: BTreeSet<(usize, usize)>,
}

fn check(name: &str, config: &str, bridge: bool) -> Result<(), Failed> {
    let count = compare(name, config, bridge, &differences(&folder())?)?;
    let listed: Vec<String> = (count.listed.iter())
        .map(|(why, count)| format!("{why}: {count}"))
        .collect();
    println!(
        "{name}: {} as recorded, otherwise {}",
        count.equal,
        listed.join(", ")
    );
    if count.unlisted.is_empty() {
        return Ok(());
    }
    let lines = count.unlisted.join("\n  ");
    Err(format!("{name}: {} probes:\n  {lines}", count.unlisted.len()).into())
}

fn all_apply() -> Result<(), Failed> {
    let list = differences(&folder())?;
    let mut used = BTreeSet::new();
    for (name, config, bridge) in RECORDINGS {
        used.extend(compare(name, config, bridge, &list)?.used);
    }
    let stale: Vec<&str> = (list.iter().enumerate())
        .flat_map(|(entry, difference)| {
            let patterns = difference.probes.iter().enumerate();
            patterns.map(move |(place, pattern)| ((entry, place), pattern.as_str()))
        })
        .filter(|(key, _)| !used.contains(key))
        .map(|(_, pattern)| pattern)
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("listed, and no probe differs so: {}", stale.join(", ")).into())
}

/// Holds the oracle itself to the recordings: what our deviations change, they alone change.
fn by_their_tables() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (name, config, bridge) in RECORDINGS {
        let (ours, mut world) = our_tables(&folder(), config)?;
        world.bridge_calls_iptables = bridge;
        let tables = tables_of_kube_proxy(&ours);
        let probes = probes(&folder(), name)?;
        println!("{name}: {} by kube-proxy's tables", probes.len());
        wrong.extend((probes.iter()).filter_map(|recorded| difference(&tables, &world, recorded)));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{} probes:\n  {}", wrong.len(), wrong.join("\n  ")).into())
}

fn compare(name: &str, config: &str, bridge: bool, list: &[Difference]) -> Result<Count, Failed> {
    let (tables, mut world) = our_tables(&folder(), config)?;
    world.bridge_calls_iptables = bridge;
    let patterns = (list.iter())
        .map(|entry| entry.patterns(name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut count = Count::default();
    for recorded in probes(&folder(), name)? {
        let found = difference(&tables, &world, &recorded);
        let places: Vec<(usize, usize)> = places(&patterns, &recorded).collect();
        match (found, places.first()) {
            (None, None) => count.equal += 1,
            (None, Some(_)) => {
                let what = "listed as different, and is not";
                count.unlisted.push(format!("{}: {what}", recorded.name));
            }
            (Some(text), None) => count.unlisted.push(text),
            (Some(_), Some((entry, _))) => {
                let entry = &list[*entry];
                let why = entry.deviation.clone().or(entry.artefact.clone());
                *count.listed.entry(why.unwrap_or_default()).or_default() += 1;
                count.used.extend(places);
            }
        }
    }
    Ok(count)
}

fn places(
    patterns: &[Vec<regex::Regex>],
    recorded: &Recorded,
) -> impl Iterator<Item = (usize, usize)> {
    (patterns.iter().enumerate()).flat_map(move |(entry, patterns)| {
        (patterns.iter().enumerate())
            .filter(|(_, pattern)| pattern.is_match(&recorded.name))
            .map(move |(place, _)| (entry, place))
    })
}
