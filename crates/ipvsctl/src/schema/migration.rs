//! Effects of a take-over.

use ipvs::AddressFamily;
use model::leftovers::{NFT_TABLE, nft_family};
use schemars::JsonSchema;
use serde::Serialize;

use super::{API_VERSION, Connections, Plan, Planned, Summary};
use crate::migration::{self, WAY_BACK};

/// Effects of a take-over of a node by kube-ipvsd.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Migration`.
    pub kind: &'static str,
    /// Name of the node.
    pub node_name: String,
    /// Blockers of the take-over, with what to do.
    pub in_the_way: Vec<String>,
    /// Notes about the take-over.
    pub notes: Vec<String>,
    /// Proxy that runs on the node, `kube-proxy (mode ipvs)`; null if none answers or none was
    /// asked.
    pub running_proxy: Option<String>,
    /// Causes of the changes.
    pub causes: Vec<Cause>,
    /// Connections to real servers that would be deleted without a drain; null if unknown.
    pub cut_connections: Option<Connections>,
    /// Leftovers of kube-proxy's other modes; null if they were not read.
    pub leftovers: Option<Leftovers>,
    /// Steps of a rollback.
    pub way_back: [&'static str; 3],
    /// The changes.
    pub plan: Plan,
}

/// Changes of one cause.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Cause {
    /// Deviation from kube-proxy, `D12`; null if the cause is none.
    pub deviation: Option<&'static str>,
    /// Description of the cause.
    pub description: &'static str,
    /// Numbers of changes.
    pub changes: Summary,
}

/// Leftovers of kube-proxy's other modes.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftovers {
    /// Rules of iptables mode.
    pub rules: Vec<RuleLeftovers>,
    /// Tables of nftables mode, `ip kube-proxy`.
    pub nft_tables: Vec<String>,
    /// Sets of old versions.
    pub sets: Vec<String>,
}

/// Rules of iptables mode, or of the ipvs mode of an old version, in one table.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleLeftovers {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// `nat`, `filter` or `mangle`.
    pub table: String,
    /// Chains that can be deleted.
    pub chains: Vec<String>,
    /// Number of rules that jump to these chains.
    pub jumps: usize,
    /// Chains that must stay, because chains of other programs jump to them.
    pub held: Vec<String>,
    /// Chains of other programs that jump to `held`.
    pub held_by: Vec<String>,
}

impl Migration {
    /// Returns the object for a take-over, with its plan.
    #[must_use]
    pub fn new(planned: Planned<'_>, migration: &migration::Migration) -> Self {
        let causes = migration.causes().into_iter();
        Self {
            api_version: API_VERSION,
            kind: "Migration",
            node_name: planned.node.to_owned(),
            in_the_way: migration.in_the_way(),
            notes: migration.notes(),
            running_proxy: (migration.proxy.as_ref()).map(|(_, running)| running.to_string()),
            causes: causes.map(Cause::from).collect(),
            cut_connections: migration.cut.map(Connections::from),
            leftovers: migration.leftovers.as_ref().map(Leftovers::from),
            way_back: WAY_BACK,
            plan: Plan::new(planned),
        }
    }
}

impl From<(migration::Cause, model::Summary)> for Cause {
    fn from((cause, summary): (migration::Cause, model::Summary)) -> Self {
        Self {
            deviation: cause.deviation(),
            description: cause.words(),
            changes: summary.into(),
        }
    }
}

impl From<&model::Leftovers> for Leftovers {
    fn from(leftovers: &model::Leftovers) -> Self {
        let model::Leftovers {
            rules,
            nft_tables,
            sets,
        } = leftovers;
        let tables = |family: &AddressFamily| format!("{} {NFT_TABLE}", nft_family(*family));
        Self {
            rules: rules.iter().flat_map(rule_leftovers).collect(),
            nft_tables: nft_tables.iter().map(tables).collect(),
            sets: sets.iter().map(ToString::to_string).collect(),
        }
    }
}

fn rule_leftovers(
    (family, rules): (&AddressFamily, &model::leftovers::RuleLeftovers),
) -> Vec<RuleLeftovers> {
    let tables = rules.tables.iter().map(|(name, table)| RuleLeftovers {
        family: family.to_string(),
        table: name.to_string(),
        chains: table.chains.iter().map(ToString::to_string).collect(),
        jumps: table.jumps.len(),
        held: table.held.iter().map(ToString::to_string).collect(),
        held_by: table.held_by.iter().map(ToString::to_string).collect(),
    });
    tables.collect()
}
