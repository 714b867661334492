//! The live tables: the kernel's, or saved ones.

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

/// A kernel to read, by way of nothing that could change it.
///
/// # Errors
///
/// There is no access to IPVS.
pub fn read_only_kernel() -> Result<ReadOnly<LinuxKernel>, Error> {
    // A look loads no module.
    let kernel = LinuxKernel::open(ModulePolicy::DoNotLoad).map_err(Error::Open)?;
    Ok(ReadOnly::new(kernel))
}

/// Reads everything.
///
/// # Errors
///
/// The kernel cannot be read.
pub fn observe(kernel: &mut dyn Kernel) -> Result<Snapshot, Error> {
    kernel.observe(&Scope::EVERYTHING).map_err(Error::Observe)
}

/// Reads everything. The interfaces and the machine are those of the file that describes the node; without
/// one, `node` has those of this node from then on.
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

/// Reads the tables saved at `path`, to compare them with what `input` asks for; and finds what in them is ours wherever its
/// address is.
///
/// # Errors
///
/// The file cannot be read, or makes no sense.
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
/// It cannot be read, or makes no sense.
pub fn saved(path: &Path) -> Result<SavedTables, Error> {
    read_text(path)
        .map_err(SavedError::Read)
        .and_then(|text| parse(&text))
        .map_err(|source| Error::Saved {
            path: path.to_owned(),
            source,
        })
}

/// A live table to compare with `desired`, and what in it is ours wherever its address is.
///
/// Where no addresses were saved, all that was saved counts as ours and addresses are not compared.
fn comparable(saved: SavedTables, desired: &Desired) -> (NodeTables, BTreeSet<VirtualServerKey>) {
    let SavedTables {
        mut tables,
        has_addresses,
    } = saved;
    let mut ours = BTreeSet::new();
    if !has_addresses {
        style::warning(
            "the saved tables have no addresses: these are not compared, and every virtual server \
             with an address counts as ours",
        );
        // No Service asks for a firewall mark.
        let addresses = |key: &&VirtualServerKey| matches!(key, VirtualServerKey::Address { .. });
        ours.extend(tables.virtual_servers.keys().filter(addresses));
        tables.addresses.clone_from(&desired.tables.addresses);
    }
    leave_out_what_is_not_saved(&mut tables, &desired.tables);
    (tables, ours)
}

/// Sets, rules and settings of which the saved text says nothing are taken to be as they should.
fn leave_out_what_is_not_saved(saved: &mut NodeTables, desired: &NodeTables) {
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
