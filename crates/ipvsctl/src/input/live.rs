//! Reads the live tables from the kernel or from a file.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

use ipvs::{Timeouts, VirtualServerKey};
use kernel::{Kernel, LinuxKernel, ModulePolicy, ReadOnly, Saved};
use model::{Desired, NodeTables, Scope, Snapshot, text};

use crate::error::{Error, SavedError};
use crate::input::Input;
use crate::input::node::Node;
use crate::schema::{self, SavedTables};
use crate::style;

/// Opens the kernel read-only.
///
/// # Errors
///
/// There is no access to IPVS.
pub fn read_only_kernel() -> Result<ReadOnly<LinuxKernel>, Error> {
    // Commands that only read must not load a module.
    let kernel = LinuxKernel::open(ModulePolicy::DoNotLoad).map_err(Error::Open)?;
    Ok(ReadOnly::new(kernel))
}

/// Reads all tables of `kernel`.
///
/// # Errors
///
/// The kernel cannot be read.
pub fn observe(kernel: &mut dyn Kernel) -> Result<Snapshot, Error> {
    kernel.observe(&Scope::EVERYTHING).map_err(Error::Observe)
}

/// Reads all tables of `kernel`. Interfaces and machine are those of the file of `--node-state`;
/// without one they are this node's, and are stored in `node`.
///
/// # Errors
///
/// The kernel cannot be read.
pub fn of_kernel(kernel: &mut dyn Kernel, node: &mut Node) -> Result<Snapshot, Error> {
    let mut live = observe(kernel)?;
    match &node.state {
        Some(described) => live.node.clone_from(described),
        None => node.state = Some(live.node.clone()),
    }
    Ok(live)
}

/// Reads the saved tables at `path` to compare them with the desired tables of `input`. Returns
/// also the virtual servers that are ours whatever their address.
///
/// # Errors
///
/// The file cannot be read or parsed.
pub fn of_file(
    path: &Path,
    input: &Input,
) -> Result<(Snapshot, BTreeSet<VirtualServerKey>), Error> {
    let (tables, ours) = comparable(saved(path)?, &input.desired);
    let mut live = observe(&mut Saved::from(tables))?;
    live.node.clone_from(&input.node);
    Ok((live, ours))
}

/// Reads the text, JSON or YAML at `path`; `-` is standard input.
///
/// # Errors
///
/// The file cannot be read or parsed.
pub fn saved(path: &Path) -> Result<SavedTables, Error> {
    read_text(path)
        .map_err(SavedError::Read)
        .and_then(|text| parse(&text))
        .map_err(|source| Error::Saved {
            path: path.to_owned(),
            source,
        })
}

/// Returns tables to compare with `desired`, and the virtual servers that are ours whatever their
/// address.
///
/// If no addresses were saved, every saved virtual server with an address counts as ours, and
/// addresses are not compared.
fn comparable(saved: SavedTables, desired: &Desired) -> (NodeTables, BTreeSet<VirtualServerKey>) {
    let SavedTables {
        mut tables,
        has_addresses,
    } = saved;
    let mut ours = BTreeSet::new();
    if !has_addresses {
        style::warning(
            "the saved tables contain no addresses: addresses are not compared, and every virtual \
             server with an address counts as ours; ipvsctl get tables -o text saves both",
        );
        // Virtual servers by firewall mark never belong to a Service.
        let addresses = |key: &&VirtualServerKey| matches!(key, VirtualServerKey::Address { .. });
        ours.extend(tables.virtual_servers.keys().filter(addresses));
        tables.addresses.clone_from(&desired.tables.addresses);
    }
    fill_in_unsaved(&mut tables, &desired.tables);
    (tables, ours)
}

/// Fills in sets, rules and settings that were not saved with the desired ones, so that they do not
/// differ.
fn fill_in_unsaved(saved: &mut NodeTables, desired: &NodeTables) {
    if saved.sets.is_empty() {
        saved.sets.clone_from(&desired.sets);
    }
    for (family, rules) in &desired.rules {
        (saved.rules.entry(*family)).or_insert_with(|| rules.clone());
    }
    for (name, value) in &desired.sysctls {
        (saved.sysctls.entry(name.clone())).or_insert_with(|| value.clone());
    }
    if saved.timeouts == Timeouts::default() {
        saved.timeouts = desired.timeouts;
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    if path != Path::new("-") {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

fn parse(given: &str) -> Result<SavedTables, SavedError> {
    if schema::looks_like(given) {
        return schema::parse(given).map_err(SavedError::Schema);
    }
    let tables = text::parse(given).map_err(SavedError::Text)?;
    let heading =
        |line: &str| (line.trim().strip_prefix('#')).is_some_and(|name| name.trim() == "addresses");
    Ok(SavedTables {
        has_addresses: given.lines().any(heading),
        tables,
    })
}
