//! Probes that were sent on a node of a real kube-proxy, and their results.

mod comparison;
mod explanation;
mod kube_proxy;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::{fmt, fs};

use model::{ClusterState, NodeTables};
use regex::Regex;
use serde::Deserialize;
use sources::NodeOverrides;
use trace::{Outcome, Probe, Verdict, World, trace};

use crate::deviations::glob;
use crate::world;

pub use comparison::Comparison;
pub use explanation::check as check_explanation;
pub use kube_proxy::tables_of_kube_proxy;

/// The recordings: a file of probes, the configuration, and whether packets between ports of a
/// bridge passed iptables.
pub const RECORDINGS: [(&str, &str, bool); 4] = [
    ("clustercidr", "config-clustercidr.yaml", true),
    ("masqall", "config-masqall.yaml", true),
    ("nocidr", "config-nocidr.yaml", true),
    ("clustercidr-nobrnf", "config-clustercidr.yaml", false),
];

/// One line of a recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The first seven columns with slashes between, which the patterns of deviations match.
    pub name: String,
    /// The probe.
    pub probe: Probe,
    /// Recorded result.
    pub seen: Seen,
    /// True if one client keeps to one pod. Then not every possible pod answers.
    pub affinity: bool,
}

/// A listed reason for which a probe may end differently.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Recordings with this difference.
    pub recording: String,
    /// Patterns of the probes: `service/kind/policy/protocol/family/source/target`, `*` for
    /// anything.
    pub probes: Vec<String>,
    /// Number of the deviation.
    pub deviation: Option<String>,
    /// Kubernetes release that requires the difference.
    pub release: Option<String>,
    /// A property of the recording's topology that no cluster has.
    pub artefact: Option<String>,
    /// Reason.
    pub reason: String,
}

/// Reads the list of differences in `packets/deviations.toml`.
///
/// # Errors
///
/// The file cannot be read, is invalid, or has an entry without exactly one of `deviation`,
/// `release` and `artefact`.
pub fn differences(folder: &Path) -> Result<Vec<Difference>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        difference: Vec<Difference>,
    }
    let file: File = toml::from_str(&read(&folder.join("deviations.toml"))?)
        .map_err(|error| format!("deviations.toml: {error}"))?;
    for entry in &file.difference {
        if entry.causes().count() != 1 {
            let wanted = "exactly one of deviation, release and artefact is needed";
            return Err(format!("deviations.toml: {:?}: {wanted}", entry.probes));
        }
    }
    Ok(file.difference)
}

impl Difference {
    /// Returns the cause, if there is one.
    pub(crate) fn causes(&self) -> impl Iterator<Item = String> {
        let release = (self.release.as_ref()).map(|release| format!("since {release}"));
        let causes = [self.deviation.clone(), release, self.artefact.clone()];
        causes.into_iter().flatten()
    }

    /// Returns the compiled patterns of this entry for a recording.
    ///
    /// # Errors
    ///
    /// A pattern is invalid.
    pub fn patterns(&self, recording: &str) -> Result<Vec<Regex>, String> {
        if !glob(&self.recording)?.is_match(recording) {
            return Ok(Vec::new());
        }
        self.probes.iter().map(|pattern| glob(pattern)).collect()
    }
}

/// The recorded results of a probe that is sent several times: the names that answered, the sources
/// that were seen, and other results, without the relation between name and source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    by: BTreeSet<String>,
    sources: BTreeSet<IpAddr>,
    others: BTreeSet<Outcome>,
}

impl From<Verdict> for Seen {
    fn from(verdict: Verdict) -> Self {
        let mut seen = Self::default();
        for outcome in verdict.0 {
            match outcome {
                Outcome::Answered {
                    by,
                    seeing: Some(seeing),
                } => {
                    seen.by.insert(by);
                    seen.sources.insert(seeing);
                }
                other => {
                    seen.others.insert(other);
                }
            }
        }
        seen
    }
}

impl Seen {
    /// Returns true if `other` includes all of these results.
    #[must_use]
    pub fn is_part_of(&self, other: &Self) -> bool {
        self.by.is_subset(&other.by)
            && self.sources.is_subset(&other.sources)
            && self.others.is_subset(&other.others)
    }

    /// Returns true if all attempts ended in the same way, possibly with different sources.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.by.len() + self.others.len() == 1
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others.iter().map(ToString::to_string);
        let mut words: Vec<String> = self.by.iter().cloned().chain(others).collect();
        if !self.sources.is_empty() {
            words.push("seeing".to_owned());
        }
        words.extend(self.sources.iter().map(ToString::to_string));
        f.write_str(&words.join(" "))
    }
}

/// Reads the probes of the file `name`.
///
/// # Errors
///
/// The file cannot be read or is invalid.
pub fn probes(folder: &Path, name: &str) -> Result<Vec<Recorded>, String> {
    let path = folder.join(format!("{name}.tsv"));
    let text = read(&path)?;
    (text.lines().enumerate().skip(1))
        .map(|(index, line)| {
            recorded(line).map_err(|error| format!("{}:{}: {error}", path.display(), index + 1))
        })
        .collect()
}

/// The recorded node.
#[derive(Debug)]
pub struct RecordedNode {
    /// Objects of the cluster.
    pub cluster: ClusterState,
    /// Our tables.
    pub tables: NodeTables,
    /// Places around the node.
    pub world: World,
}

/// Returns the recorded node with our tables.
///
/// # Errors
///
/// A file cannot be read or is invalid.
pub fn recorded_node(folder: &Path, config: &str) -> Result<RecordedNode, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let node = sources::node_state::read(&folder.join("node.yaml")).map_err(|e| text(&e))?;
    let config = folder.join(config);
    let config = sources::config::load(Some(&config), &NodeOverrides::default(), "node1")
        .map_err(|e| text(&e))?;
    let objects = sources::files::read(&[folder.join("objects.yaml")]);
    if let Some(error) = objects.errors.first() {
        return Err(error.to_string());
    }
    let mut cluster = ClusterState::default();
    for event in objects.into_events() {
        cluster.absorb(event);
    }
    let (desired, _) = planner::compile(&cluster, &node.state, &config.node);
    Ok(RecordedNode {
        cluster,
        tables: desired.tables,
        world: world::parse(&read(&folder.join("world.toml"))?, node.state)?,
    })
}

/// Returns one line with the difference between the recorded result and that of `tables`; none if
/// they agree.
#[must_use]
pub fn difference(tables: &NodeTables, world: &World, recorded: &Recorded) -> Option<String> {
    let ours = match seen(tables, world, recorded) {
        Ok(seen) => seen,
        Err(error) => return Some(error),
    };
    let equal = if recorded.affinity {
        recorded.seen.is_part_of(&ours)
    } else {
        recorded.seen == ours
    };
    (!equal).then(|| {
        let theirs = &recorded.seen;
        format!("{}: kube-proxy: {theirs}; kube-ipvs: {ours}", recorded.name)
    })
}

/// Returns the results of a probe by `tables`.
///
/// # Errors
///
/// The tables have a part that cannot be judged.
pub fn seen(tables: &NodeTables, world: &World, recorded: &Recorded) -> Result<Seen, String> {
    match trace(tables, world, &recorded.probe).verdict() {
        Ok(verdict) => Ok(verdict.into()),
        Err(error) => Err(format!("{}: {error}", recorded.name)),
    }
}

fn recorded(line: &str) -> Result<Recorded, String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [
        service,
        kind,
        policy,
        protocol,
        family,
        source,
        target,
        result,
        pods,
        seen,
    ] = columns[..]
    else {
        return Err(format!("expected ten columns, found {}", columns.len()));
    };
    let probe: Probe = format!("{source} -> {target}/{protocol}").parse()?;
    Ok(Recorded {
        name: [service, kind, policy, protocol, family, source, target].join("/"),
        seen: seen_by(result, pods, seen)?,
        probe,
        affinity: policy == "affinity",
    })
}

fn seen_by(result: &str, pods: &str, sources: &str) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for kind in names(result) {
        let other = match kind {
            "answered" if names(pods).eq(["echo"]) => Outcome::Echo,
            "answered" => {
                seen.by = names(pods).map(str::to_owned).collect();
                seen.sources = names(sources)
                    .map(|text| {
                        text.parse()
                            .map_err(|_| format!("`{text}` is not an address"))
                    })
                    .collect::<Result<_, _>>()?;
                continue;
            }
            "refused" => Outcome::Refused,
            "timeout" => Outcome::Lost,
            "send-eperm" => Outcome::NotPermitted,
            other => match other.strip_prefix("icmp-unreach-") {
                Some(what) => Outcome::Unreachable(what.to_owned()),
                None => return Err(format!("`{other}` is not a result")),
            },
        };
        seen.others.insert(other);
    }
    Ok(seen)
}

/// Returns the names of a list such as `podA=2,podB=2`; `-` is an empty list.
fn names(list: &str) -> impl Iterator<Item = &str> {
    (list.split(','))
        .filter(|part| !part.is_empty() && *part != "-")
        .map(|part| part.split('=').next().unwrap_or_default())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
