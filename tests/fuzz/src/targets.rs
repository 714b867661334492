//! The fuzzed decoders and parsers.

mod bytes;
mod import;
mod netlink;
mod text;
mod yaml;

use std::fmt::Debug;

/// Maximum number of printed characters of a value.
const MAX_SHOWN: usize = 1_000;

/// A decoder or parser.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target and of the directory of its corpus.
    pub name: &'static str,
    /// True if the input is text: then lines, numbers and punctuation are mutated too.
    pub is_text: bool,
    /// Number of inputs of the round in the unit tests: a fraction of a second without
    /// optimization.
    pub short_round: u64,
    /// Decodes an input. A rejected input is not an error. An error is a broken promise: its first
    /// line names the promise, the others the case.
    pub check: fn(&[u8]) -> Result<(), String>,
}

const BYTES: Target = Target {
    name: "",
    is_text: false,
    short_round: 0,
    check: |_| Ok(()),
};

const TEXT: Target = Target {
    is_text: true,
    ..BYTES
};

/// Every target.
pub static ALL: &[Target] = &[
    // Datagrams of netlink: framing, dumps, batches, the look-up of a family, and both clients.
    Target {
        name: "netlink",
        short_round: 3_000,
        check: netlink::check,
        ..BYTES
    },
    // Messages of IPVS.
    Target {
        name: "ipvs",
        short_round: 10_000,
        check: bytes::ipvs,
        ..BYTES
    },
    // Messages of ipset.
    Target {
        name: "ipset",
        short_round: 10_000,
        check: bytes::ipset,
        ..BYTES
    },
    // Flows of the connection tracker.
    Target {
        name: "conntrack",
        short_round: 20_000,
        check: bytes::conntrack,
        ..BYTES
    },
    // Links and addresses of rtnetlink.
    Target {
        name: "rtnetlink",
        short_round: 20_000,
        check: bytes::rtnetlink,
        ..BYTES
    },
    // `iptables-save`.
    Target {
        name: "iptables",
        short_round: 300,
        check: text::iptables,
        ..TEXT
    },
    // `ipvsadm-save`.
    Target {
        name: "ipvsadm",
        short_round: 5_000,
        check: text::ipvsadm,
        ..TEXT
    },
    // `/proc/net/ip_vs_conn`.
    Target {
        name: "ip-vs-conn",
        short_round: 5_000,
        check: text::ip_vs_conn,
        ..TEXT
    },
    // `ipset save`.
    Target {
        name: "ipset-save",
        short_round: 2_000,
        check: text::ipset_save,
        ..TEXT
    },
    // All tables of a node.
    Target {
        name: "tables",
        short_round: 400,
        check: text::tables,
        ..TEXT
    },
    // The configuration.
    Target {
        name: "config",
        short_round: 200,
        check: yaml::config,
        ..TEXT
    },
    // Manifests.
    Target {
        name: "manifests",
        short_round: 100,
        check: yaml::manifests,
        ..TEXT
    },
    // `ipvsctl import`: `ipvsadm-save`, `ipvsadm -Ln` and configurations of keepalived.
    Target {
        name: "import",
        short_round: 150,
        check: import::check,
        ..TEXT
    },
    // The state of a node in a file.
    Target {
        name: "node-state",
        short_round: 500,
        check: yaml::node_state,
        ..TEXT
    },
];

/// Returns the target with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

/// Returns an error that begins with `promise` if the values differ.
fn equal<T: PartialEq + Debug>(promise: &str, first: &T, again: &T) -> Result<(), String> {
    match first == again {
        true => Ok(()),
        false => Err(format!(
            "{promise}\n  first: {}\n  again: {}",
            short(first),
            short(again)
        )),
    }
}

/// Returns a function that makes an error for a rejected print or encoding, beginning with
/// `promise`.
fn rejected<E: ToString>(promise: &str, printed: &str) -> impl FnOnce(E) -> String {
    move |error| {
        format!(
            "{promise}: rejected\n  {}\n  printed: {printed:?}",
            error.to_string()
        )
    }
}

/// Returns the beginning of a value's debug format.
fn short(value: &impl Debug) -> String {
    format!("{value:?}").chars().take(MAX_SHOWN).collect()
}
