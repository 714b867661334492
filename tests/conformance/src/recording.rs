//! A recording of a real kube-proxy, step by step.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ipvs::AddressFamily;
use model::rules::Rules;
use model::{ClusterEvent, ClusterState, NodeConfig, NodeState, NodeTables, text};
use sources::NodeOverrides;

use crate::section::{self, Lines, Section};

/// Recorded sections, and their files.
const FILES: [(&str, &str); 7] = [
    ("ipvs", "ipvs.txt"),
    ("addresses", "addresses.txt"),
    ("ipset", "ipset.txt"),
    ("rules4", "iptables.txt"),
    ("rules6", "ip6tables.txt"),
    ("sysctl", "sysctl.txt"),
    ("timeouts", "timeouts.txt"),
];

/// One moment of a scenario: the cluster, and kube-proxy's tables for it.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Name of the scenario and the step.
    pub name: String,
    /// The cluster.
    pub cluster: ClusterState,
    /// The configuration.
    pub config: NodeConfig,
    /// The node as the proxy saw it.
    pub node: NodeState,
    /// The IPVS table before the first start of the proxy.
    pub found: NodeTables,
    /// True if the proxy was stopped, and started again after the changes of this step.
    pub restarted: bool,
    /// Recorded lines.
    pub recorded: Lines,
    /// Recorded rules with their comments.
    pub rules: BTreeMap<AddressFamily, Rules>,
}

/// Returns the names of all scenarios in `folder`, sorted.
///
/// # Errors
///
/// The folder cannot be read.
pub fn scenarios(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Returns the moments of the scenario `name` in `folder`, in order.
///
/// # Errors
///
/// A message about a missing or invalid file.
pub fn moments(folder: &Path, name: &str) -> Result<Vec<Moment>, String> {
    let scenario = folder.join(name);
    let config = scenario.join("config.yaml");
    let resolved = sources::config::load(Some(&config), &NodeOverrides::default(), "node1")
        .map_err(|errors| format!("{}: {errors}", config.display()))?;
    let node = sources::node_state::read(&folder.join("node-state.yaml"))
        .map_err(|error| error.to_string())?;
    let mut cluster = ClusterState::default();
    absorb_whole(
        &mut cluster,
        &[folder.join("common.yaml"), scenario.join("objects.yaml")],
    )?;
    let first = Moment {
        name: name.to_owned(),
        cluster,
        config: resolved.node,
        node: node.state,
        found: found(&scenario.join("before.sh"))?,
        restarted: false,
        recorded: recorded(&scenario.join("recorded"))?,
        rules: rules(&scenario.join("recorded"))?,
    };
    let mut moments = vec![first.clone()];
    let mut cluster = first.cluster.clone();
    let steps = scenarios(&scenario).map_err(|error| error.to_string())?;
    for step in steps.iter().filter(|step| *step != "recorded") {
        let folder = scenario.join(step);
        absorb_step(&mut cluster, &folder)?;
        moments.push(Moment {
            name: format!("{name}/{step}"),
            cluster: cluster.clone(),
            restarted: folder.join("RESTART").exists(),
            recorded: recorded(&folder.join("recorded"))?,
            rules: rules(&folder.join("recorded"))?,
            ..first.clone()
        });
    }
    Ok(moments)
}

/// Parses the tables in `lines` that a plan needs: virtual servers, addresses and sets.
///
/// # Errors
///
/// The invalid line.
pub fn tables(lines: &Lines) -> Result<NodeTables, String> {
    let part = |section| {
        lines
            .get(&section)
            .map(|lines| lines.join("\n"))
            .unwrap_or_default()
    };
    let printed = format!(
        "# ipvs\n{}\n# addresses\n{}\n# ipset\n{}\n{}\n",
        part(Section::Ipvs),
        part(Section::Addresses),
        part(Section::IpsetCreate),
        part(Section::Ipset),
    );
    text::parse(&printed).map_err(|error| error.to_string())
}

fn recorded(folder: &Path) -> Result<Lines, String> {
    let mut printed = String::new();
    for (section, file) in FILES {
        printed.push_str(&format!("# {section}\n{}\n", read(&folder.join(file))?));
    }
    let printed = printed.replace("Timeout (tcp tcpfin udp): ", "--set ");
    let mut lines = section::of_text(&printed);
    for section in lines.values_mut() {
        section.retain(|line| !line.trim().is_empty());
    }
    Ok(lines)
}

fn rules(folder: &Path) -> Result<BTreeMap<AddressFamily, Rules>, String> {
    let files = [
        (AddressFamily::Ipv4, "iptables.txt"),
        (AddressFamily::Ipv6, "ip6tables.txt"),
    ];
    let read_one = |(family, file)| {
        let path = folder.join(file);
        let rules = Rules::parse(&read(&path)?);
        let rules = rules.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((family, rules))
    };
    files.into_iter().map(read_one).collect()
}

/// Returns the virtual servers that the `ipvsadm` commands of `script` create.
fn found(script: &Path) -> Result<NodeTables, String> {
    if !script.exists() {
        return Ok(NodeTables::default());
    }
    let mut lines = String::new();
    let script_text = read(script)?;
    let commands = (script_text.lines())
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split(';'));
    for command in commands
        .map(str::trim)
        .filter(|command| !command.is_empty())
    {
        let arguments = command
            .strip_prefix("ipvsadm ")
            .ok_or_else(|| format!("{}: unsupported command `{command}`", script.display()))?;
        lines.push_str(arguments);
        lines.push('\n');
    }
    text::parse(&lines).map_err(|error| format!("{}: {error}", script.display()))
}

fn absorb_whole(cluster: &mut ClusterState, paths: &[PathBuf]) -> Result<(), String> {
    for event in objects(paths)?.into_events() {
        cluster.absorb(event);
    }
    Ok(())
}

/// Applies the objects that a step adds or changes, and the deletions of the step.
fn absorb_step(cluster: &mut ClusterState, folder: &Path) -> Result<(), String> {
    let script = folder.join("before.sh");
    if script.exists() {
        return Err(format!("{}: not supported within a step", script.display()));
    }
    let changed = folder.join("objects.yaml");
    if changed.exists() {
        for object in objects(&[changed])?.objects {
            cluster.absorb(ClusterEvent::Upsert(object));
        }
    }
    let deleted = folder.join("delete.yaml");
    if deleted.exists() {
        for object in objects(&[deleted])?.objects {
            cluster.absorb(ClusterEvent::Delete(object.kind(), object.name()));
        }
    }
    Ok(())
}

fn objects(paths: &[PathBuf]) -> Result<sources::FileObjects, String> {
    let found = sources::files::read(paths);
    match found.errors.first() {
        None => Ok(found),
        Some(error) => Err(error.to_string()),
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
