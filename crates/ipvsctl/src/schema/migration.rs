//! Take-overs.

use ipvs::AddressFamily;
use model::leftovers::{NFT_TABLE, nft_family};
use serde::Serialize;

use super::{API_VERSION, Connections, Plan, Summary};
use crate::migration::{self, WAY_BACK};

/// The effects of a take-over of a node by kube-ipvsd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Migration`.
    pub kind: &'static str,
    /// For which node.
    pub node_name: String,
    /// Steps that have to be done first, in words; empty where nothing is in the way.
    pub in_the_way: Vec<String>,
    /// Remarks that are good to know, in words.
    pub notes: Vec<String>,
    /// The proxy that runs on the node, `kube-proxy (mode ipvs)`; null where none answers or nobody was
    /// asked.
    pub running_proxy: Option<String>,
    /// Where the changes come from.
    pub causes: Vec<Cause>,
    /// Connections to real servers that would be deleted at once; null where they are not known.
    pub cut_connections: Option<Connections>,
    /// Leftovers of kube-proxy's other modes; null where they were not looked for.
    pub leftovers: Option<Leftovers>,
    /// The steps that undo it, in words.
    pub way_back: [&'static str; 3],
    /// The changes.
    pub plan: Plan,
}

/// Changes of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Our deviation from kube-proxy, `D12`; null where it is none.
    pub deviation: Option<&'static str>,
    /// In words.
    pub description: &'static str,
    /// Their number.
    pub changes: Summary,
}

/// Leftovers of kube-proxy's other modes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftovers {
    /// Rules of the iptables mode.
    pub rules: Vec<RuleLeftovers>,
    /// Tables of the nftables mode, `ip kube-proxy`.
    pub nft_tables: Vec<String>,
    /// Sets of old versions.
    pub sets: Vec<String>,
}

/// Rules of the iptables mode, or of an old version's ipvs mode, in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleLeftovers {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// `nat`, `filter` or `mangle`.
    pub table: String,
    /// Chains that can be deleted.
    pub chains: Vec<String>,
    /// Number of rules that lead to them.
    pub jumps: usize,
    /// Chains that have to stay, since chains of other programs lead to them.
    pub held: Vec<String>,
    /// These chains of other programs.
    pub held_by: Vec<String>,
}

impl Migration {
    /// Returns the take-over of the node `node`; `findings` are those about the objects.
    #[must_use]
    pub fn new(
        node: &model::names::Name,
        findings: &[model::Finding],
        migration: &migration::Migration,
    ) -> Self {
        let causes = migration.causes().into_iter();
        Self {
            api_version: API_VERSION,
            kind: "Migration",
            node_name: node.to_string(),
            in_the_way: migration.in_the_way(),
            notes: migration.notes(),
            running_proxy: (migration.proxy.as_ref()).map(|(_, running)| running.to_string()),
            causes: causes.map(Cause::from).collect(),
            cut_connections: migration.cut.map(Connections::from),
            leftovers: migration.leftovers.as_ref().map(Leftovers::from),
            way_back: WAY_BACK,
            plan: Plan::new(node, findings, &migration.plan),
        }
    }
}

impl From<(migration::Cause, model::Summary)> for Cause {
    fn from((cause, summary): (migration::Cause, model::Summary)) -> Self {
        let model::Summary {
            add,
            change,
            delete,
        } = summary;
        Self {
            deviation: cause.deviation(),
            description: cause.words(),
            changes: Summary {
                add,
                change,
                delete,
            },
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
