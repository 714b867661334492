//! The canonical text of a node's tables, in the syntax of the tools that operators know.
//!
//! ```text
//! # ipvs
//! -A -t 10.96.0.1:443 -s rr
//! -a -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 1
//! # addresses
//! 10.96.0.1/32
//! ```
//!
//! Lines are sorted within their section, and what is printed parses back to the same tables.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use ipvs::text::{Line, parse_line, print_real_server, print_virtual_server};

use crate::tables::{NodeTables, VirtualServerEntry};

/// Text that is no node's tables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TextError {
    /// The line's number, from 1.
    pub line: usize,
    /// What was found and what was expected.
    pub problem: String,
}

/// Prints all sections of `tables`.
#[must_use]
pub fn print(tables: &NodeTables) -> String {
    let mut text = String::new();
    let sections = [
        ("# ipvs", virtual_server_lines(tables)),
        ("# addresses", address_lines(tables)),
    ];
    for (heading, lines) in sections {
        text.push_str(heading);
        text.push('\n');
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// The lines of `ipvsadm-save -n`, sorted.
#[must_use]
pub fn virtual_server_lines(tables: &NodeTables) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, entry) in &tables.virtual_servers {
        lines.push(print_virtual_server(&entry.server));
        let real_servers = entry.real_servers.values();
        lines.extend(real_servers.map(|real| print_real_server(key, real)));
    }
    lines.sort();
    lines
}

/// The addresses as `ip addr` prints them, `10.96.0.1/32`, sorted as text.
#[must_use]
pub fn address_lines(tables: &NodeTables) -> Vec<String> {
    let mut lines: Vec<String> = (tables.addresses.iter())
        .map(|address| IpNetwork::from(*address).to_string())
        .collect();
    lines.sort();
    lines
}

/// Reads what [`print`] prints. Sections may come in any order or be left out; before the first
/// heading, lines belong to `# ipvs`, so that a saved `ipvsadm-save -n` is read as it is. Within a
/// section lines may come in any order.
///
/// # Errors
///
/// The first line that makes no sense, or names something that no other line has.
pub fn parse(text: &str) -> Result<NodeTables, TextError> {
    let mut section = Section::Ipvs;
    let mut tables = NodeTables::default();
    let mut entries: BTreeMap<_, VirtualServerEntry> = BTreeMap::new();
    let mut real_servers = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        let wrong = |problem: String| TextError {
            line: number,
            problem,
        };
        if let Some(heading) = line.strip_prefix('#') {
            section = match heading.trim() {
                "ipvs" => Section::Ipvs,
                "addresses" => Section::Addresses,
                // A comment of whoever saved it.
                _ => section,
            };
            continue;
        }
        match section {
            _ if line.is_empty() => {}
            Section::Addresses => {
                tables.addresses.insert(host_address(line).map_err(wrong)?);
            }
            Section::Ipvs => match parse_line(line).map_err(wrong)? {
                Line::VirtualServer(server) => {
                    let key = server.key;
                    let entry = VirtualServerEntry {
                        server,
                        real_servers: BTreeMap::new(),
                    };
                    if entries.insert(key, entry).is_some() {
                        return Err(wrong(format!("virtual server {key} is there twice")));
                    }
                }
                Line::RealServer(key, real) => real_servers.push((number, key, real)),
            },
        }
    }
    for (line, key, real) in real_servers {
        let entry = entries.get_mut(&key).ok_or_else(|| TextError {
            line,
            problem: format!("no line adds the virtual server {key}"),
        })?;
        entry.real_servers.insert(real.key, real);
    }
    tables.virtual_servers = (entries.into_iter())
        .map(|(key, entry)| (key, Arc::new(entry)))
        .collect();
    Ok(tables)
}

#[derive(Clone, Copy)]
enum Section {
    Ipvs,
    Addresses,
}

fn host_address(line: &str) -> Result<IpAddr, String> {
    let network: IpNetwork = line
        .parse()
        .map_err(|_| format!("`{line}` is not an address with its length"))?;
    if IpNetwork::from(network.ip()) == network {
        Ok(network.ip())
    } else {
        Err(format!("{line} is a network, not a host's address"))
    }
}
