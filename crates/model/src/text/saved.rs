//! Saved tables: all that a later comparison needs.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::{Connections, RealServerKey, VirtualServerKey};

use super::{Section, TextError, connections, node, sections, write_section};
use crate::snapshot::{NodeState, Snapshot};
use crate::tables::NodeTables;

/// Tables that were saved, and the properties of their node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The tables. Parts that are not in `parts` are empty.
    pub tables: NodeTables,
    /// Interfaces and machine of the node. Its default if they were not saved.
    pub node: NodeState,
    /// Connections of real servers that have any.
    pub connections: BTreeMap<(VirtualServerKey, RealServerKey), Connections>,
    /// The parts that were saved.
    pub parts: BTreeSet<Part>,
}

/// Part of saved tables. Prints as a noun: `kernel settings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The IPVS table.
    VirtualServers,
    /// Addresses of the dummy device.
    Addresses,
    /// Sets and their entries.
    Sets,
    /// Rules of the packet filter.
    Rules,
    /// Kernel settings.
    Settings,
    /// Idle timeouts of connections.
    Timeouts,
    /// Synchronisation daemons.
    SyncDaemons,
    /// Interfaces and machine of the node.
    Node,
    /// Connections of real servers.
    Connections,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 9] = [
        Self::VirtualServers,
        Self::Addresses,
        Self::Sets,
        Self::Rules,
        Self::Settings,
        Self::Timeouts,
        Self::SyncDaemons,
        Self::Node,
        Self::Connections,
    ];

    fn of(section: Section) -> Self {
        match section {
            Section::Ipvs => Self::VirtualServers,
            Section::Addresses => Self::Addresses,
            Section::Ipset => Self::Sets,
            Section::AllRules | Section::Rules(_) => Self::Rules,
            Section::Sysctl => Self::Settings,
            Section::Timeouts => Self::Timeouts,
            Section::Sync => Self::SyncDaemons,
            Section::Node => Self::Node,
            Section::Connections => Self::Connections,
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::VirtualServers => "virtual servers",
            Self::Addresses => "addresses",
            Self::Sets => "sets",
            Self::Rules => "rules",
            Self::Settings => "kernel settings",
            Self::Timeouts => "timeouts",
            Self::SyncDaemons => "synchronisation daemons",
            Self::Node => "interfaces of the node",
            Self::Connections => "connections",
        })
    }
}

impl From<Snapshot> for Saved {
    /// Returns all of a complete reading, except what other programs have: rules that jump to our
    /// chains or drop packets.
    fn from(snapshot: Snapshot) -> Self {
        Self {
            tables: snapshot.tables,
            node: snapshot.node,
            connections: snapshot.connections,
            parts: Part::ALL.into(),
        }
    }
}

impl From<Saved> for Snapshot {
    /// Assumes that the dummy device exists if it has addresses.
    fn from(saved: Saved) -> Self {
        Self {
            device: !saved.tables.addresses.is_empty(),
            tables: saved.tables,
            node: saved.node,
            connections: saved.connections,
            ..Self::default()
        }
    }
}

/// Prints the sections of the saved parts, those without entries too. [`parse_saved`] returns the
/// same parts.
#[must_use]
pub fn print_saved(saved: &Saved) -> String {
    let mut text = String::new();
    for section in Section::ALL {
        if !saved.parts.contains(&Part::of(section)) {
            continue;
        }
        let lines = match section {
            Section::Node => node::print(&saved.node),
            Section::Connections => connections::print(&saved.connections),
            Section::Rules(family) if !saved.tables.rules.contains_key(&family) => continue,
            section => section.lines(&saved.tables).unwrap_or_default(),
        };
        write_section(&mut text, section, &lines);
    }
    text
}

/// Parses the output of [`print_saved`], and all that [`parse`](super::parse) accepts. A part counts
/// as saved if the text has its heading. The IPVS table is always saved.
///
/// # Errors
///
/// As [`parse`](super::parse).
pub fn parse_saved(text: &str) -> Result<Saved, TextError> {
    let mut saved = Saved::default();
    saved.parts.insert(Part::VirtualServers);
    for (section, lines) in sections(text) {
        saved.parts.insert(Part::of(section));
        section.read(&mut saved, &lines)?;
    }
    Ok(saved)
}
