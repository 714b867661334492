//! `NO_PROXY`: servers that are reached without a proxy.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnetwork::IpNetwork;

/// Items of `NO_PROXY`. Empty and invalid items are skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Item>);

#[derive(Debug, PartialEq, Eq)]
enum Item {
    /// `*`
    All,
    /// `10.0.0.0/8`, with any port.
    Network(IpNetwork),
    /// `10.0.0.1`, `10.0.0.1:443`, `[fd00::1]:443`
    Address(IpAddr, Port),
    /// `example.com`, `example.com:6443`: the domain and its subdomains. `.example.com`,
    /// `*.example.com`: only the subdomains.
    Domain {
        /// Domain with a leading dot.
        below: String,
        itself: bool,
        port: Port,
    },
}

/// A port as text; an empty text matches every port.
#[derive(Debug, PartialEq, Eq)]
struct Port(String);

impl NoProxy {
    pub(super) fn parse(text: &str) -> Self {
        let items = text.split(',').map(|item| item.trim().to_lowercase());
        Self(items.filter_map(|item| Item::parse(&item)).collect())
    }

    /// Returns true if an item matches `host` and `port`. `host` is a name or an address without
    /// brackets.
    pub(super) fn has(&self, host: &str, port: u16) -> bool {
        let host = host.to_lowercase();
        let address = address(&host);
        (self.0.iter()).any(|item| match (item, address) {
            (Item::All, _) => true,
            (Item::Network(network), Some(address)) => network.contains(address),
            (Item::Address(at, only), Some(address)) => *at == address && only.is(port),
            (
                Item::Domain {
                    below,
                    itself,
                    port: only,
                },
                None,
            ) => (host.ends_with(below) || *itself && host == below[1..]) && only.is(port),
            (Item::Network(_) | Item::Address(..), None) | (Item::Domain { .. }, Some(_)) => false,
        })
    }
}

impl Item {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        if let Some(network) = network(text) {
            return Some(Self::Network(network));
        }
        let (host, port) = split_port(text).unwrap_or((text, ""));
        let port = Port(port.to_owned());
        if let Some(address) = address(host) {
            return Some(Self::Address(address, port));
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        match host.strip_prefix('.') {
            _ if host.is_empty() => None,
            Some(_) => Some(Self::Domain {
                below: host.to_owned(),
                itself: false,
                port,
            }),
            None => Some(Self::Domain {
                below: format!(".{host}"),
                itself: true,
                port,
            }),
        }
    }
}

impl Port {
    fn is(&self, port: u16) -> bool {
        self.0.is_empty() || self.0 == port.to_string()
    }
}

/// Parses an address. An IPv4-mapped IPv6 address becomes the IPv4 address (`net.IP.Equal`).
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

fn network(text: &str) -> Option<IpNetwork> {
    let (address, prefix) = text.split_once('/')?;
    IpNetwork::new(address.parse().ok()?, prefix.parse().ok()?).ok()
}

/// Splits `HOST:PORT` or `[HOST]:PORT` (`net.SplitHostPort`). The brackets are removed.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text
            .rsplit_once(':')
            .filter(|(host, _)| !host.contains(':'))?,
    };
    let strange = host.contains(['[', ']']) || port.contains(['[', ']', ':']);
    (!strange).then_some((host, port))
}
