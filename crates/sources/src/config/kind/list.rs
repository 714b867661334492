//! Lists. An item that repeats another one is noted and left out.

use ipnetwork::IpNetwork;
use model::config::NodePortAddresses;
use serde_json::{Value, json};

use super::{Kind, Reading, Syntax, describe, form, must_be};
use crate::convert::parse_cidr;

/// Reads a list.
pub(crate) fn read_list<T: PartialEq>(
    given: &Value,
    reading: &mut Reading,
    item: impl Fn(&Value) -> Result<T, String>,
) -> Option<Vec<T>> {
    let items = given.as_array().ok_or_else(|| must_be("a list", given));
    let mut read = Vec::new();
    for (index, given) in reading.keep("", items)?.iter().enumerate() {
        let inner = format!("[{index}]");
        let item = item(given);
        if item.as_ref().is_ok_and(|item| read.contains(item)) {
            reading.note(inner, format!("{} is given twice", describe(given)));
        } else {
            read.extend(reading.keep(inner, item));
        }
    }
    Some(read)
}

/// Returns the text of an item.
pub(crate) fn item_text(item: &Value) -> Result<&str, String> {
    item.as_str().ok_or_else(|| must_be("text", item))
}

/// Networks.
pub(crate) const NETWORKS: Kind<Vec<IpNetwork>> = Kind {
    form: || form("networks", "CIDR,…", Syntax::List),
    read: |given, reading| read_list(given, reading, |item| network(item_text(item)?)),
    write: |networks| texts(networks).into(),
};

pub(super) fn network(text: &str) -> Result<IpNetwork, String> {
    let network = parse_cidr(text.trim());
    network.ok_or_else(|| format!("{text:?} is no network such as 10.0.0.0/8"))
}

pub(super) fn texts(networks: &[IpNetwork]) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

/// Ports, 1 to 65535.
pub(crate) const PORTS: Kind<Vec<u16>> = Kind {
    form: || form("list of ports", "PORT,…", Syntax::List),
    read: |given, reading| {
        read_list(given, reading, |item| {
            let port = item.as_u64().and_then(|port| u16::try_from(port).ok());
            let port = port.filter(|port| *port > 0);
            port.ok_or_else(|| must_be("a port from 1 to 65535", item))
        })
    },
    write: |ports| json!(ports),
};

/// The node's own addresses.
const PRIMARY: &str = "primary";
/// All addresses of both families.
const ALL: &str = "all";
/// Loopback addresses.
const LOCALHOST: &str = "localhost";

/// Networks, and words for addresses of the node.
pub(crate) const NODE_PORTS: Kind<NodePortAddresses> = Kind {
    form: || {
        form(
            "networks, `all`, `primary`, `localhost`",
            "CIDR,…",
            Syntax::List,
        )
    },
    read: read_node_ports,
    write: |value| match value {
        NodePortAddresses::Within(networks) => texts(networks).into(),
        NodePortAddresses::PrimaryAnd(networks) => {
            let primary = [PRIMARY.to_owned()].into_iter();
            primary.chain(texts(networks)).collect()
        }
    },
};

fn read_node_ports(given: &Value, reading: &mut Reading) -> Option<NodePortAddresses> {
    let items = read_list(given, reading, |item| match item_text(item)? {
        word @ (PRIMARY | ALL | LOCALHOST) => Ok(word.to_owned()),
        text => Ok(network(text)?.to_string()),
    })?;
    let mut given = given.as_array().into_iter().flatten();
    if let Some(index) = given.position(|item| item == LOCALHOST) {
        let message = "adds nothing: node ports are never served at loopback addresses";
        reading.note(format!("[{index}]"), format!("{LOCALHOST:?} {message}"));
    }
    let mut networks = Vec::new();
    for text in items.iter().flat_map(|item| expand(item)) {
        networks.extend(parse_cidr(text).filter(|network| !networks.contains(network)));
    }
    match items.iter().any(|item| item == PRIMARY) {
        true => Some(NodePortAddresses::PrimaryAnd(networks)),
        false => Some(NodePortAddresses::Within(networks)),
    }
}

/// Returns the networks of an item.
fn expand(item: &str) -> Vec<&str> {
    match item {
        PRIMARY => vec![],
        ALL => vec!["0.0.0.0/0", "::/0"],
        LOCALHOST => vec!["127.0.0.0/8", "::1/128"],
        network => vec![network],
    }
}
