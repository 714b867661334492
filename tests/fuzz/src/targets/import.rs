//! `ipvsctl import`: what is imported compiles and exports to something that imports to the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use ipvsctl::commands::export;
use ipvsctl::import::{self, Entry, Imported, Options, Origin};
use ipvsctl::output::manifests;
use model::finding::Code;
use model::tables::NodeTables;
use model::{ClusterState, NodeConfig, NodeState, ObjectName};
use sources::config::{self, NodeOverrides};
use sources::files;

use super::{equal, rejected};

/// Maximum number of virtual servers that are compiled. A group of keepalived may have 65,536.
const MAX_COMPILED: usize = 50;

/// Configuration of the node on which virtual servers are compiled.
static CONFIG: LazyLock<NodeConfig> = LazyLock::new(|| {
    let config = config::parse("config.yaml", "").expect("an empty configuration is valid");
    let resolved = config.resolve(&NodeOverrides::default(), "node-1");
    resolved.expect("the default configuration is valid").node
});

/// Imports text of every origin. Included files are not read, so that an input alone determines the
/// result.
pub(super) fn check(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let _ = import::detect(&text);
    let origins = [Origin::IpvsadmSave, Origin::IpvsadmList, Origin::Keepalived];
    for origin in origins {
        let options = Options {
            config_id: Some("main"),
            ..Options::default()
        };
        let imported = import::parse(Path::new("input"), &text, origin, options);
        compiled(imported)?;
    }
    Ok(())
}

fn compiled(mut imported: Imported) -> Result<(), String> {
    imported.servers.truncate(MAX_COMPILED);
    let servers = imported.servers.clone();
    let notes = imported.notes.len() + imported.more_notes;
    let objects = imported.manifests(Path::new("input"));
    let promise = "an imported virtual server is a manifest or a mistake";
    let mistakes = imported.notes.len() + imported.more_notes - notes;
    equal(promise, &servers.len(), &(objects.len() + mistakes))?;

    let promise = "an imported manifest is read";
    let mut yaml = String::new();
    for object in &objects {
        yaml += &manifests::document(object).map_err(rejected(promise, &yaml))?;
    }
    let found = files::parse(Path::new("input.yaml"), &yaml);
    if let Some(error) = found.errors.first() {
        return Err(rejected(promise, &yaml)(error));
    }
    let mut state = ClusterState::default();
    for event in found.into_events() {
        let _ = state.absorb(event);
    }
    let (desired, findings) = planner::compile(&state, &NodeState::default(), &CONFIG);
    // These findings keep the entry.
    let kept = [Code::NoRealServer, Code::PortHasNoEffect];
    let refused: BTreeSet<ObjectName> = (findings.into_iter())
        .filter(|finding| !kept.contains(&finding.code))
        .map(|finding| finding.object)
        .collect();
    let names: BTreeSet<&str> = (objects.iter())
        .map(|object| object.metadata.name.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    for entry in servers {
        // Only the first definition of a key is used.
        if !seen.insert(entry.server.key) {
            continue;
        }
        let name = import::name_of(&entry.server.key);
        let object = ObjectName::virtual_server("default", name.as_str());
        if names.contains(name.as_str()) && !refused.contains(&object) && is_valid(&entry) {
            is_programmed(&entry, &desired.tables)?;
        }
    }
    exported(&desired.tables)
}

/// Returns false for settings that the kernel refuses. The planner reports those that a manifest
/// describes; the others, such as a netmask without persistence, have no effect.
fn is_valid(entry: &Entry) -> bool {
    let key = &entry.server.key;
    let mut real_servers = entry.real_servers.iter();
    entry.server.validate().is_ok() && real_servers.all(|real| real.validate(key).is_ok())
}

fn is_programmed(entry: &Entry, tables: &NodeTables) -> Result<(), String> {
    let promise = "an imported virtual server is programmed or reported";
    let key = &entry.server.key;
    let Some(found) = tables.virtual_servers.get(key) else {
        return Err(format!("{promise}\n  {key}"));
    };
    equal(promise, &entry.server, &found.server)?;
    let mut expected = entry.real_servers.clone();
    expected.sort_by_key(|real| real.key);
    let found: Vec<_> = found.real_servers.values().copied().collect();
    equal(promise, &expected, &found)
}

/// Exports the tables for `ipvsadm-restore`, and imports them again.
fn exported(tables: &NodeTables) -> Result<(), String> {
    let promise = "exported virtual servers import to the same";
    let lines = export::ipvsadm(tables);
    let again = import::parse(
        Path::new("input"),
        &lines,
        Origin::IpvsadmSave,
        Options::default(),
    );
    if let Some(note) = again.notes.first() {
        return Err(rejected(promise, &lines)(note));
    }
    let expected = tables.virtual_servers.values().map(|entry| Entry {
        server: entry.server.clone(),
        real_servers: entry.real_servers.values().copied().collect(),
        bind: true,
        health_check: None,
    });
    equal(promise, &expected.collect::<Vec<_>>(), &again.servers)
}
