//! Description of a node in a file, for results that do not depend on the machine. `ipvsctl get
//! node-state` writes such a file.
//!
//! ```yaml
//! nodeName: node1
//! kernel: 6.1.176        # output of `uname -r`; determines net.ipv4.vs.conn_reuse_mode
//! processors: 4          # determines net.netfilter.nf_conntrack_max
//! keepalive: {time: 7200, interval: 75, probes: 9}  # determines ipvs.tcpTimeout: matchKeepalive
//! families: [IPv4]       # families that the node can serve; default: both
//! interfaces:
//!   - {name: eth0, addresses: [192.168.77.10/24, "fd77::10/64"]}
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::missing_family::FamilyGap;
use model::snapshot::{Interface, Machine, NodeState};
use model::{Keepalive, Name};
use serde::{Deserialize, Serialize};

use crate::convert::{ip, parse_cidr};
use crate::yaml;

/// Contents of a node-state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "Raw")]
pub struct NodeStateFile {
    /// `nodeName`, if present.
    pub node_name: Option<Name>,
    /// `interfaces`, ordered by name, without the dummy device. An address without a prefix length
    /// gets `/32` or `/128`.
    pub state: NodeState,
}

/// Reason why a node-state file cannot be used. Prints the file and, if known, line and column.
#[derive(Debug, thiserror::Error)]
pub enum NodeStateError {
    /// The file could not be read.
    #[error("failed to read the node state {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        cause: std::io::Error,
    },
    /// The contents of the file are invalid.
    #[error("{}: {what}", place.as_deref().unwrap_or("node state"))]
    Content {
        /// File, line and column.
        place: Option<String>,
        /// Description of the error.
        what: String,
    },
}

/// Reads the file at `path`.
///
/// # Errors
///
/// The file cannot be read, is neither YAML nor JSON, or has an unknown field, a field of the wrong
/// type or an invalid address.
pub fn read(path: &Path) -> Result<NodeStateFile, NodeStateError> {
    let text = fs::read_to_string(path).map_err(|cause| NodeStateError::Read {
        path: path.to_owned(),
        cause,
    })?;
    parse(path, &text)
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processors: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keepalive: Option<RawKeepalive>,
    #[serde(skip_serializing_if = "Option::is_none")]
    families: Option<BTreeSet<RawFamily>>,
    #[serde(default)]
    interfaces: Vec<RawInterface>,
}

#[derive(Clone, Copy, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
enum RawFamily {
    #[serde(rename = "IPv4")]
    V4,
    #[serde(rename = "IPv6")]
    V6,
}

/// [`Keepalive`] as a file holds it, in seconds.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawKeepalive {
    time: u32,
    interval: u32,
    probes: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawInterface {
    name: String,
    #[serde(default)]
    addresses: Vec<String>,
}

impl From<NodeStateFile> for Raw {
    fn from(file: NodeStateFile) -> Self {
        let NodeState {
            interfaces,
            machine:
                Machine {
                    kernel,
                    processors,
                    keepalive,
                },
            missing,
        } = file.state;
        let left = missing.map(|missing| match missing.family {
            AddressFamily::Ipv4 => RawFamily::V6,
            AddressFamily::Ipv6 => RawFamily::V4,
        });
        let interface = |interface: Interface| RawInterface {
            name: interface.name.to_string(),
            addresses: (interface.addresses.iter())
                .map(ToString::to_string)
                .collect(),
        };
        Self {
            node_name: file.node_name.map(|name| name.to_string()),
            kernel: kernel.map(|version| version.to_string()),
            processors,
            keepalive: keepalive.map(|keepalive| RawKeepalive {
                time: keepalive.time,
                interval: keepalive.interval,
                probes: keepalive.probes,
            }),
            families: left.map(|family| [family].into()),
            interfaces: interfaces.into_iter().map(interface).collect(),
        }
    }
}

/// Parses the text of the file at `path`. Errors contain the path.
///
/// # Errors
///
/// The errors of [`read`] except for a file that cannot be read.
pub fn parse(path: &Path, text: &str) -> Result<NodeStateFile, NodeStateError> {
    let content = |place: Option<yaml::Place>, what: String| NodeStateError::Content {
        place: Some(match place {
            Some(place) => format!("{}:{}:{}", path.display(), place.line, place.column),
            None => path.display().to_string(),
        }),
        what,
    };
    let (mut values, error) = yaml::documents(text);
    if let Some(error) = error {
        return Err(content(error.place, error.what));
    }
    let value = match values.len() {
        1 => values.remove(0),
        count => {
            return Err(content(
                None,
                format!("expected one YAML or JSON document, found {count}"),
            ));
        }
    };
    let raw: Raw = serde_path_to_error::deserialize(value).map_err(|error| {
        let place = yaml::locate(text, &yaml::steps(error.path()));
        content(place, format!("{}: {}", error.path(), error.inner()))
    })?;
    let mut interfaces = Vec::new();
    let others = |interface: &RawInterface| interface.name != model::DEVICE;
    for (index, interface) in (raw.interfaces.into_iter().filter(others)).enumerate() {
        let mut addresses = Vec::new();
        for (at, text) in interface.addresses.iter().enumerate() {
            let address = address(text).ok_or_else(|| {
                let what = format!(
                    "{text:?} is not an address with a prefix length, such as 192.0.2.7/24"
                );
                content(None, format!("interfaces[{index}].addresses[{at}]: {what}"))
            })?;
            addresses.push(address);
        }
        interfaces.push(Interface {
            name: interface.name.into(),
            addresses,
        });
    }
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    let kernel = (raw.kernel.map(|text| text.parse()).transpose())
        .map_err(|what: String| content(None, format!("kernel: {what}")))?;
    let families = raw
        .families
        .unwrap_or_else(|| [RawFamily::V4, RawFamily::V6].into());
    if families.is_empty() {
        return Err(content(
            None,
            "families: the list is empty; name at least one family".to_owned(),
        ));
    }
    let gap = |family| (!families.contains(&family)).then_some(FamilyGap::Described);
    Ok(NodeStateFile {
        node_name: raw.node_name.map(|name| name.trim().to_lowercase().into()),
        state: NodeState {
            interfaces,
            machine: Machine {
                kernel,
                processors: raw.processors,
                keepalive: raw.keepalive.map(|raw| Keepalive {
                    time: raw.time,
                    interval: raw.interval,
                    probes: raw.probes,
                }),
            },
            missing: FamilyGap::decide([gap(RawFamily::V4), gap(RawFamily::V6)]),
        },
    })
}

/// Parses an address with an optional prefix length. The bits after the prefix are kept.
fn address(text: &str) -> Option<IpNetwork> {
    let (head, length) = match text.split_once('/') {
        Some((head, _)) => (head, Some(parse_cidr(text)?.prefix())),
        None => (text, None),
    };
    let address = ip(head).as_result().ok().copied()?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    IpNetwork::new(address, length.unwrap_or(full)).ok()
}

#[cfg(test)]
mod tests;

/// Returns the name of this host; empty if it cannot be read.
#[must_use]
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
