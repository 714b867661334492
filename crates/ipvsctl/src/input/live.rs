//! Reads the live tables from the kernel or from a file.

use std::collections::BTreeSet;
use std::path::Path;

use ipvs::{Timeouts, VirtualServerKey};
use kernel::{Kernel, LinuxKernel, ModulePolicy, ReadOnly};
use model::text::{self, Part, Saved};
use model::{NodeTables, Scope, Snapshot};

use crate::error::{Error, SavedError};
use crate::input::Input;
use crate::input::node::Node;
use crate::input::text::read_at_most;
use crate::schema;
use crate::style;

/// Maximum size of a file of saved tables in bytes. The tables of 45,000 Services with 2 endpoints
/// have about 30 MB as text and 60 MB as YAML.
pub const MAX_SAVED: u64 = 256 << 20;

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

/// Saved tables to compare with desired ones.
#[derive(Debug)]
pub struct Comparable {
    /// The tables. Parts that were not saved equal the desired ones.
    pub live: Snapshot,
    /// Virtual servers that are ours whatever their address.
    pub ours: BTreeSet<VirtualServerKey>,
    /// Parts that were not saved and are not compared.
    pub unsaved: Vec<Part>,
}

/// Uses the interfaces and the machine of `saved` for `node`, unless a file describes them.
pub fn describe(node: &mut Node, saved: &Saved) {
    if node.state.is_none() && saved.parts.contains(&Part::Node) {
        node.state = Some(saved.node.clone());
    }
}

/// Reads the text, JSON or YAML at `path`; `-` is standard input.
///
/// # Errors
///
/// The file cannot be read or parsed, or has more than [`MAX_SAVED`] bytes.
pub fn saved(path: &Path) -> Result<Saved, Error> {
    read_at_most(path, MAX_SAVED)
        .map_err(SavedError::Read)
        .and_then(|text| parse(&text))
        .map_err(|source| Error::Saved {
            path: path.to_owned(),
            source,
        })
}

/// Reads two saved tables to compare them. Parts that one of them lacks are removed from both and
/// reported on standard error.
///
/// # Errors
///
/// As [`saved`].
pub fn two(first: &Path, second: &Path) -> Result<[NodeTables; 2], Error> {
    let [mut one, mut other] = [saved(first)?, saved(second)?];
    for part in Part::ALL {
        let lacking = match [&one, &other].map(|saved| saved.parts.contains(&part)) {
            [true, true] | [false, false] => continue,
            [true, false] => second,
            [false, true] => first,
        };
        clear(&mut one.tables, part);
        clear(&mut other.tables, part);
        if !matches!(part, Part::Node | Part::Connections) {
            style::warning(&format!(
                "{}: the saved tables lack {part}, which are not compared",
                lacking.display()
            ));
        }
    }
    Ok([one.tables, other.tables])
}

/// Returns the saved tables to compare with the desired ones of `input`.
///
/// If no addresses were saved, every saved virtual server with an address counts as ours, and
/// addresses are not compared.
#[must_use]
pub fn comparable(mut saved: Saved, input: &Input) -> Comparable {
    let desired = &input.desired.tables;
    let mut ours = BTreeSet::new();
    if !saved.parts.contains(&Part::Addresses) {
        style::warning(
            "the saved tables contain no addresses: addresses are not compared, and every virtual \
             server with an address counts as ours; ipvsctl get tables -o text saves both",
        );
        // Virtual servers by firewall mark never belong to a Service.
        let addresses = |key: &&VirtualServerKey| matches!(key, VirtualServerKey::Address { .. });
        ours.extend(
            (saved.tables.virtual_servers.keys())
                .filter(addresses)
                .copied(),
        );
    }
    let unsaved: Vec<Part> = (Part::ALL.into_iter())
        .filter(|part| !saved.parts.contains(part))
        .collect();
    for part in &unsaved {
        fill_in(&mut saved.tables, desired, *part);
    }
    fill_in_unread(&mut saved.tables, desired);
    let mut live = Snapshot::from(saved);
    live.node.clone_from(&input.node);
    Comparable {
        live,
        ours,
        unsaved,
    }
}

/// Sets a part that was not saved to the desired one, so that it does not differ.
fn fill_in(tables: &mut NodeTables, desired: &NodeTables, part: Part) {
    match part {
        Part::Addresses => tables.addresses.clone_from(&desired.addresses),
        Part::Sets => tables.sets.clone_from(&desired.sets),
        Part::Rules => tables.rules.clone_from(&desired.rules),
        Part::Settings => tables.sysctls.clone_from(&desired.sysctls),
        Part::Timeouts => tables.timeouts = desired.timeouts,
        Part::SyncDaemons => tables.sync_daemons.clone_from(&desired.sync_daemons),
        Part::VirtualServers | Part::Node | Part::Connections => {}
    }
}

/// Sets the rules of a family and the settings that were not read to the desired ones: the node may
/// lack the family, or the kernel the setting.
fn fill_in_unread(tables: &mut NodeTables, desired: &NodeTables) {
    for (family, rules) in &desired.rules {
        (tables.rules.entry(*family)).or_insert_with(|| rules.clone());
    }
    for (name, value) in &desired.sysctls {
        (tables.sysctls.entry(name.clone())).or_insert_with(|| value.clone());
    }
}

fn clear(tables: &mut NodeTables, part: Part) {
    match part {
        Part::VirtualServers => tables.virtual_servers.clear(),
        Part::Addresses => tables.addresses.clear(),
        Part::Sets => tables.sets.clear(),
        Part::Rules => tables.rules.clear(),
        Part::Settings => tables.sysctls.clear(),
        Part::Timeouts => tables.timeouts = Timeouts::default(),
        Part::SyncDaemons => tables.sync_daemons.clear(),
        Part::Node | Part::Connections => {}
    }
}

fn parse(given: &str) -> Result<Saved, SavedError> {
    if schema::looks_like(given) {
        schema::parse(given).map_err(SavedError::Schema)
    } else {
        text::parse_saved(given).map_err(SavedError::Text)
    }
}
