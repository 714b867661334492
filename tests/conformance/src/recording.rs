//! A recording of a real kube-proxy, step by step.

use std::fs;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use ipvs::VirtualServerKey;
use model::{ClusterEvent, ClusterState, NodeConfig, NodeTables, text};
use sources::NodeOverrides;

/// What the recordings' Services have their cluster IPs from.
const SERVICE_NETWORKS: [&str; 2] = ["10.96.0.0/16", "fd00:10:96::/112"];

/// One moment of a scenario: the cluster, and what kube-proxy made of it.
#[derive(Debug)]
pub struct Moment {
    /// The scenario's name, with the step's.
    pub name: String,
    /// The cluster.
    pub cluster: ClusterState,
    /// The configuration.
    pub config: NodeConfig,
    /// What was recorded.
    pub recorded: NodeTables,
}

/// The names of all scenarios in `folder`, ordered.
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

/// The moments of the scenario `name` in `folder`.
///
/// # Errors
///
/// A file that is missing or makes no sense, in words.
pub fn moments(folder: &Path, name: &str) -> Result<Vec<Moment>, String> {
    let scenario = folder.join(name);
    let config = scenario.join("config.yaml");
    let resolved = sources::config::load(Some(&config), &NodeOverrides::default(), "node1")
        .map_err(|errors| format!("{}: {errors}", config.display()))?;
    let mut cluster = ClusterState::default();
    absorb_whole(
        &mut cluster,
        &[folder.join("common.yaml"), scenario.join("objects.yaml")],
    )?;
    let moment = |name: String, folder: &Path, cluster: &ClusterState| {
        Ok::<_, String>(Moment {
            name,
            cluster: cluster.clone(),
            config: resolved.node.clone(),
            recorded: recorded(&folder.join("recorded"))?,
        })
    };
    let mut moments = vec![moment(name.to_owned(), &scenario, &cluster)?];
    let steps = scenarios(&scenario).map_err(|error| error.to_string())?;
    for step in steps.iter().filter(|step| *step != "recorded") {
        let folder = scenario.join(step);
        absorb_step(&mut cluster, &folder)?;
        moments.push(moment(format!("{name}/{step}"), &folder, &cluster)?);
    }
    Ok(moments)
}

/// The part of `tables` that belongs to cluster IPs.
#[must_use]
pub fn cluster_ips_only(mut tables: NodeTables) -> NodeTables {
    let networks: Vec<IpNetwork> = (SERVICE_NETWORKS.iter())
        .filter_map(|text| text.parse().ok())
        .collect();
    let inside = |address| networks.iter().any(|network| network.contains(address));
    tables.virtual_servers.retain(|key, _| match key {
        VirtualServerKey::Address { address, .. } => inside(*address),
        VirtualServerKey::Fwmark { .. } => false,
    });
    tables.addresses.retain(|address| inside(*address));
    tables
}

fn recorded(folder: &Path) -> Result<NodeTables, String> {
    let read = |file: &str| {
        let path = folder.join(file);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let sections = format!(
        "# ipvs\n{}\n# addresses\n{}\n",
        read("ipvs.txt")?,
        read("addresses.txt")?
    );
    text::parse(&sections).map_err(|error| format!("{}: {error}", folder.display()))
}

fn absorb_whole(cluster: &mut ClusterState, paths: &[PathBuf]) -> Result<(), String> {
    for event in read(paths)?.into_events() {
        cluster.absorb(event);
    }
    Ok(())
}

/// What a step adds or changes, and what it deletes.
fn absorb_step(cluster: &mut ClusterState, folder: &Path) -> Result<(), String> {
    let objects = folder.join("objects.yaml");
    if objects.exists() {
        for object in read(&[objects])?.objects {
            cluster.absorb(ClusterEvent::Upsert(object));
        }
    }
    let deleted = folder.join("delete.yaml");
    if deleted.exists() {
        for object in read(&[deleted])?.objects {
            cluster.absorb(ClusterEvent::Delete(object.kind(), object.name()));
        }
    }
    Ok(())
}

fn read(paths: &[PathBuf]) -> Result<sources::FileObjects, String> {
    let found = sources::files::read(paths);
    match found.errors.first() {
        None => Ok(found),
        Some(error) => Err(error.to_string()),
    }
}
