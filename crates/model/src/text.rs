//! Canonical text of a node's tables, in the syntax of the tools that operators know.
//!
//! ```text
//! # ipvs
//! -A -t 10.96.0.1:443 -s rr
//! -a -t 10.96.0.1:443 -r 192.168.77.1:6443 -m -w 1
//! # addresses
//! 10.96.0.1/32
//! # ipset
//! create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536
//! add KUBE-CLUSTER-IP 10.96.0.1,tcp:443
//! # rules4
//! *nat
//! :KUBE-MARK-MASQ -
//! -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
//! COMMIT
//! # rules6
//! # sysctl
//! net.ipv4.vs.conntrack = 1
//! # timeouts
//! --set 900 120 300
//! # sync
//! --start-daemon master --mcast-interface eth0 --syncid 7
//! # node
//! kernel 6.1
//! processors 4
//! keepalive 7200 75 9
//! 1: eth0    inet 192.168.77.10/24
//! # connections
//! -t 10.96.0.1:443 -r 192.168.77.1:6443 active 3 inactive 2 persistent 0
//! ```
//!
//! Each section is an input of its tool: `ipvsadm-restore`, `ipset restore`, `iptables-restore
//! --noflush`, `ip6tables-restore --noflush`, `sysctl -p`, and for the last two `ipvsadm`. The
//! addresses have no tool.
//!
//! The last two sections are not tables. [`print_saved`] adds them, so that the text describes all
//! that a comparison needs; the lines of interfaces are those of `ip -o addr`.
//!
//! The first two sections are always printed, the others only if they have entries, unless the text
//! is printed to be saved. The text parses back to the same tables.

mod connections;
mod node;
mod saved;
mod sync_daemons;
mod sysctl;
#[cfg(test)]
mod tests;
mod timeouts;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use ipvs::text::{Line, parse_line, print_real_server, print_sync_daemon, print_virtual_server};
use ipvs::{AddressFamily, VirtualServerKey};

use crate::rules::Rules;
use crate::tables::RealServers;
use crate::tables::{NodeTables, VirtualServerEntry};

pub use self::saved::{Part, Saved, parse_saved, print_saved};

/// Text that does not describe a node's tables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TextError {
    /// Line number, starting at 1.
    pub line: usize,
    /// The text that was found and what was expected.
    pub problem: String,
}

/// Prints all sections of `tables`.
#[must_use]
pub fn print(tables: &NodeTables) -> String {
    let mut text = String::new();
    for section in Section::ALL {
        if let Some(lines) = section.lines(tables) {
            write_section(&mut text, section, &lines);
        }
    }
    text
}

fn write_section(text: &mut String, section: Section, lines: &[String]) {
    text.push_str("# ");
    text.push_str(section.heading());
    text.push('\n');
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// Returns the lines of `ipvsadm-save -n`: virtual servers by address, port and protocol, each followed
/// by its real servers.
#[must_use]
pub fn virtual_server_lines(tables: &NodeTables) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, entry) in &tables.virtual_servers {
        lines.push(print_virtual_server(&entry.server));
        let real_servers = entry.real_servers.values();
        lines.extend(real_servers.map(|real| print_real_server(key, real)));
    }
    lines
}

/// Returns the addresses as `ip addr` prints them, `10.96.0.1/32`, sorted as text.
#[must_use]
pub fn address_lines(tables: &NodeTables) -> Vec<String> {
    let mut lines: Vec<String> = (tables.addresses.iter())
        .map(|address| IpNetwork::from(*address).to_string())
        .collect();
    lines.sort();
    lines
}

/// Returns the lines of `ipset save`: sets by name, each followed by its entries in order.
#[must_use]
pub fn set_lines(tables: &NodeTables) -> Vec<String> {
    lines_of(&ipset::text::print(&tables.sets))
}

/// Returns the lines of `iptables-save` or `ip6tables-save` for our rules.
#[must_use]
pub fn rule_lines(rules: &Rules) -> Vec<String> {
    lines_of(&rules.print())
}

/// Returns the lines of `sysctl`, by name: `net.ipv4.vs.conntrack = 1`.
#[must_use]
pub fn sysctl_lines(tables: &NodeTables) -> Vec<String> {
    sysctl::print(&tables.sysctls)
}

/// Returns the idle timeouts as arguments of `ipvsadm`: `--set` with the timeouts of TCP, TCP after
/// a FIN, and UDP in seconds. A 0 leaves the kernel's value unchanged. If all are 0, there is no
/// line.
#[must_use]
pub fn timeout_lines(tables: &NodeTables) -> Vec<String> {
    timeouts::print(tables.timeouts)
}

/// Returns the synchronisation daemons as arguments of `ipvsadm`, the master first:
/// `--start-daemon master --mcast-interface eth0 --syncid 7`.
#[must_use]
pub fn sync_daemon_lines(tables: &NodeTables) -> Vec<String> {
    let daemons = tables.sync_daemons.values();
    daemons.map(print_sync_daemon).collect()
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Parses the output of [`print()`].
///
/// - Sections may be in any order, and may be missing.
/// - Lines before the first heading belong to `# ipvs`, so that the output of `ipvsadm-save -n`
///   parses as it is.
/// - Lines of a section may be in any order, except those of rules.
/// - The outputs of `ipset save`, `iptables-save` and `ip6tables-save` parse as they are after
///   their headings. Of the last two only our rules are kept.
///
/// # Errors
///
/// The first invalid line of the first section with an invalid line. A line is invalid if it does
/// not parse, repeats the key of another line, or refers to an entry that no line defines.
pub fn parse(text: &str) -> Result<NodeTables, TextError> {
    parse_saved(text).map(|saved| saved.tables)
}

/// Lines with their numbers.
type Lines<'a> = Vec<(usize, &'a str)>;

/// Returns the lines of each section. A section without lines is there if the text has its heading.
fn sections(text: &str) -> BTreeMap<Section, Lines<'_>> {
    let mut section = Section::Ipvs;
    let mut sections: BTreeMap<Section, Lines<'_>> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(heading) = line.strip_prefix('#') {
            // Any other heading is a comment of the program that saved the text.
            let mut sections_named = Section::ALL.into_iter();
            let named = sections_named.find(|named| named.heading() == heading.trim());
            section = named.unwrap_or(section);
            sections.entry(section).or_default();
        } else if !line.is_empty() {
            sections.entry(section).or_default().push((number, line));
        }
    }
    sections
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Ipvs,
    Addresses,
    Ipset,
    /// Heading without lines: rules were read, in whatever families.
    AllRules,
    Rules(AddressFamily),
    Sysctl,
    Timeouts,
    Sync,
    Node,
    Connections,
}

impl Section {
    const ALL: [Self; 11] = [
        Self::Ipvs,
        Self::Addresses,
        Self::Ipset,
        Self::AllRules,
        Self::Rules(AddressFamily::Ipv4),
        Self::Rules(AddressFamily::Ipv6),
        Self::Sysctl,
        Self::Timeouts,
        Self::Sync,
        Self::Node,
        Self::Connections,
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::Ipvs => "ipvs",
            Self::Addresses => "addresses",
            Self::Ipset => "ipset",
            Self::AllRules => "rules",
            Self::Rules(AddressFamily::Ipv4) => "rules4",
            Self::Rules(AddressFamily::Ipv6) => "rules6",
            Self::Sysctl => "sysctl",
            Self::Timeouts => "timeouts",
            Self::Sync => "sync",
            Self::Node => "node",
            Self::Connections => "connections",
        }
    }

    /// Returns the section's lines; `None` if the section is left out.
    fn lines(self, tables: &NodeTables) -> Option<Vec<String>> {
        match self {
            Self::Ipvs => Some(virtual_server_lines(tables)),
            Self::Addresses => Some(address_lines(tables)),
            Self::Ipset => Some(set_lines(tables)).filter(|lines| !lines.is_empty()),
            Self::Rules(family) => tables.rules.get(&family).map(rule_lines),
            Self::Sysctl => Some(sysctl_lines(tables)).filter(|lines| !lines.is_empty()),
            Self::Timeouts => Some(timeout_lines(tables)).filter(|lines| !lines.is_empty()),
            Self::Sync => Some(sync_daemon_lines(tables)).filter(|lines| !lines.is_empty()),
            Self::AllRules | Self::Node | Self::Connections => None,
        }
    }

    fn read(self, saved: &mut Saved, lines: &[(usize, &str)]) -> Result<(), TextError> {
        let tables = &mut saved.tables;
        match self {
            Self::Ipvs => tables.virtual_servers = virtual_servers(lines)?,
            Self::Addresses => {
                for (line, text) in lines {
                    let address = host_address(text).map_err(at(*line))?;
                    tables.addresses.insert(address);
                }
            }
            Self::Ipset => {
                let sets = ipset::text::parse_numbered(lines.iter().copied());
                tables.sets = sets.map_err(|error| at(error.line)(error.problem))?;
            }
            Self::Rules(family) => {
                let rules = Rules::parse_numbered(lines.iter().copied());
                let rules = rules.map_err(|error| at(error.line)(error.problem))?;
                tables.rules.insert(family, rules);
            }
            Self::Sysctl => tables.sysctls = sysctl::parse(lines)?,
            Self::Timeouts => tables.timeouts = timeouts::parse(lines)?,
            Self::Sync => tables.sync_daemons = sync_daemons::parse(lines)?,
            Self::Node => saved.node = node::parse(lines)?,
            Self::Connections => saved.connections = connections::parse(lines)?,
            Self::AllRules => {
                if let Some((line, text)) = lines.first() {
                    let problem =
                        format!("`{text}` is in no family: expected # rules4 or # rules6");
                    return Err(at(*line)(problem));
                }
            }
        }
        Ok(())
    }
}

fn at(line: usize) -> impl FnOnce(String) -> TextError {
    move |problem| TextError { line, problem }
}

fn virtual_servers(
    lines: &[(usize, &str)],
) -> Result<BTreeMap<VirtualServerKey, Arc<VirtualServerEntry>>, TextError> {
    let mut entries: BTreeMap<_, VirtualServerEntry> = BTreeMap::new();
    let mut real_servers = Vec::new();
    for (line, text) in lines {
        match parse_line(text).map_err(at(*line))? {
            Line::VirtualServer(server) => {
                let key = server.key;
                let entry = VirtualServerEntry {
                    server,
                    real_servers: RealServers::new(),
                };
                if entries.insert(key, entry).is_some() {
                    return Err(at(*line)(format!("virtual server {key} is listed twice")));
                }
            }
            Line::RealServer(key, real) => real_servers.push((*line, key, real)),
        }
    }
    for (line, key, real) in real_servers {
        let entry = (entries.get_mut(&key))
            .ok_or_else(|| at(line)(format!("no line adds the virtual server {key}")))?;
        entry.real_servers.insert(real);
    }
    let entries = entries.into_iter();
    Ok(entries.map(|(key, entry)| (key, Arc::new(entry))).collect())
}

fn host_address(line: &str) -> Result<IpAddr, String> {
    let network: IpNetwork = line.parse().map_err(|_| {
        format!("`{line}` is not an address with prefix length, such as 10.96.0.1/32")
    })?;
    if IpNetwork::from(network.ip()) == network {
        Ok(network.ip())
    } else {
        Err(format!("{line} is a network, not a host's address"))
    }
}
