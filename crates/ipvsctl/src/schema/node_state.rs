//! Interfaces and machine of a node, and idle timeouts, as parts of saved tables.

use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::missing_family::{self, FamilyGap};
use model::snapshot::{self, Machine};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SchemaError;

/// State of a node besides its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeState {
    /// Version of the kernel, `6.1`; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Number of processors; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processors: Option<u32>,
    /// TCP keepalive of the node's network namespace; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    /// The family that the node cannot serve; absent if it serves both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_family: Option<MissingFamily>,
    /// Interfaces other than kube-ipvs0, ordered by name.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
}

/// TCP keepalive of sockets without values of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keepalive {
    /// Idle time before the first probe: `net.ipv4.tcp_keepalive_time`.
    pub time_seconds: u32,
    /// Time between unanswered probes: `net.ipv4.tcp_keepalive_intvl`.
    pub interval_seconds: u32,
    /// Number of unanswered probes after which the connection ends: `net.ipv4.tcp_keepalive_probes`.
    pub probes: u32,
}

/// A family that a node cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MissingFamily {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// `disabled`, `no-sockets`, `no-ipvs`, `no-nat`, `no-program` or `described`.
    pub gap: String,
    /// With `disabled`: name of the setting that disables the family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Name of the interface.
    pub name: String,
    /// Addresses with their prefix lengths, `192.0.2.7/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// Idle timeouts of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdleTimeouts {
    /// Timeout of an established TCP connection.
    pub tcp_seconds: u64,
    /// Timeout of a TCP connection after a FIN.
    pub tcp_fin_seconds: u64,
    /// Timeout of a UDP flow.
    pub udp_seconds: u64,
}

impl From<&snapshot::NodeState> for NodeState {
    fn from(node: &snapshot::NodeState) -> Self {
        let snapshot::NodeState {
            interfaces,
            machine:
                Machine {
                    kernel,
                    processors,
                    keepalive,
                },
            missing,
        } = node;
        let interfaces = interfaces.iter().map(|interface| Interface {
            name: interface.name.to_string(),
            addresses: (interface.addresses.iter())
                .map(ToString::to_string)
                .collect(),
        });
        Self {
            kernel: kernel.map(|version| version.to_string()),
            processors: *processors,
            keepalive: keepalive.map(Into::into),
            missing_family: missing.as_ref().map(|missing| MissingFamily {
                family: missing.family.to_string(),
                gap: missing.gap.name().to_owned(),
                setting: missing.gap.setting().map(ToString::to_string),
            }),
            interfaces: interfaces.collect(),
        }
    }
}

impl NodeState {
    /// Returns the state. Interfaces are ordered by name, without the dummy device.
    pub(super) fn read(&self) -> Result<snapshot::NodeState, SchemaError> {
        let kernel = self.kernel.as_ref().map(|text| text.parse()).transpose();
        let missing = self.missing_family.as_ref().map(|missing| {
            let missing = missing.read();
            missing.ok_or_else(|| {
                wrong(
                    "node.missingFamily",
                    "expected a family, IPv4 or IPv6, and a gap such as no-nat",
                )
            })
        });
        let mut interfaces = Vec::new();
        for (index, interface) in self.interfaces.iter().enumerate() {
            let mut addresses = Vec::new();
            for (at, text) in interface.addresses.iter().enumerate() {
                let address: IpNetwork = text.parse().map_err(|_| {
                    wrong(
                        &format!("node.interfaces[{index}].addresses[{at}]"),
                        &format!(
                            "`{text}` is not an address with prefix length, such as 192.0.2.7/24"
                        ),
                    )
                })?;
                addresses.push(address);
            }
            if interface.name != model::DEVICE {
                interfaces.push(snapshot::Interface {
                    name: interface.name.as_str().into(),
                    addresses,
                });
            }
        }
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(snapshot::NodeState {
            interfaces,
            machine: Machine {
                kernel: kernel.map_err(|problem: String| wrong("node.kernel", &problem))?,
                processors: self.processors,
                keepalive: self.keepalive.map(Into::into),
            },
            missing: missing.transpose()?,
        })
    }
}

impl MissingFamily {
    fn read(&self) -> Option<missing_family::MissingFamily> {
        let mut families = AddressFamily::ALL.into_iter();
        Some(missing_family::MissingFamily {
            family: families.find(|family| family.to_string() == self.family)?,
            gap: FamilyGap::named(&self.gap, self.setting.as_deref())?,
        })
    }
}

impl From<model::Keepalive> for Keepalive {
    fn from(keepalive: model::Keepalive) -> Self {
        let model::Keepalive {
            time,
            interval,
            probes,
        } = keepalive;
        Self {
            time_seconds: time,
            interval_seconds: interval,
            probes,
        }
    }
}

impl From<Keepalive> for model::Keepalive {
    fn from(keepalive: Keepalive) -> Self {
        let Keepalive {
            time_seconds,
            interval_seconds,
            probes,
        } = keepalive;
        Self {
            time: time_seconds,
            interval: interval_seconds,
            probes,
        }
    }
}

impl From<ipvs::Timeouts> for IdleTimeouts {
    fn from(timeouts: ipvs::Timeouts) -> Self {
        let ipvs::Timeouts { tcp, tcp_fin, udp } = timeouts;
        Self {
            tcp_seconds: tcp.as_secs(),
            tcp_fin_seconds: tcp_fin.as_secs(),
            udp_seconds: udp.as_secs(),
        }
    }
}

impl From<IdleTimeouts> for ipvs::Timeouts {
    fn from(timeouts: IdleTimeouts) -> Self {
        let IdleTimeouts {
            tcp_seconds,
            tcp_fin_seconds,
            udp_seconds,
        } = timeouts;
        Self {
            tcp: Duration::from_secs(tcp_seconds),
            tcp_fin: Duration::from_secs(tcp_fin_seconds),
            udp: Duration::from_secs(udp_seconds),
        }
    }
}

fn wrong(path: &str, problem: &str) -> SchemaError {
    SchemaError::Field {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
