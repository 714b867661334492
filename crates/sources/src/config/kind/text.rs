//! Texts with a meaning. An empty text is the default.

use std::net::{IpAddr, SocketAddr};

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::list::{network, texts};
use super::{Kind, Reading, Syntax, form, must_be};
use crate::convert::ip;

fn read<T>(
    given: &Value,
    reading: &mut Reading,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let value = match given.as_str() {
        Some("") => return None,
        Some(text) => parse(text),
        None => Err(must_be("text", given)),
    };
    reading.keep("", value)
}

/// Any text.
pub(crate) const TEXT: Kind<String> = Kind {
    form: || form("text", "TEXT", Syntax::Text),
    read: |given, reading| read(given, reading, |text| Ok(text.to_owned())),
    write: |text| text.as_str().into(),
};

/// The name of a scheduler; `IP_VS_SCHEDNAME_MAXLEN`, include/uapi/linux/ip_vs.h.
pub(crate) const SCHEDULER: Kind<String> = Kind {
    read: |given, reading| {
        let what = "scheduler's name: at most 15 characters, no space";
        read(given, reading, |text| name(text, &[], what))
    },
    ..TEXT
};

/// The name of an interface or its beginning; `IFNAMSIZ`, include/uapi/linux/if.h.
pub(crate) const INTERFACE: Kind<String> = Kind {
    read: |given, reading| {
        let what = "interface's name: at most 15 characters, no space, no slash, no colon";
        read(given, reading, |text| name(text, &['/', ':'], what))
    },
    ..TEXT
};

/// Parses a name that the kernel and the command lines of tools accept. The kernel's names have at
/// most 15 bytes and a closing zero.
fn name(text: &str, wrong: &[char], what: &str) -> Result<String, String> {
    let is_printed = text.bytes().all(|byte| byte.is_ascii_graphic());
    match is_printed && text.len() <= 15 && !text.contains(wrong) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no {what}")),
    }
}

/// An address.
pub(crate) const ADDRESS: Kind<IpAddr> = Kind {
    form: || form("address", "ADDRESS", Syntax::Text),
    read: |given, reading| {
        read(given, reading, |text| {
            address(text).ok_or_else(|| format!("{text:?} is no address"))
        })
    },
    write: |address| address.to_string().into(),
};

/// A multicast address.
pub(crate) const MULTICAST: Kind<IpAddr> = Kind {
    form: || form("multicast address", "ADDRESS", Syntax::Text),
    read: |given, reading| {
        read(given, reading, |text| {
            let group = address(text).filter(IpAddr::is_multicast);
            group.ok_or_else(|| format!("{text:?} is no multicast address such as 224.0.0.81"))
        })
    },
    ..ADDRESS
};

fn address(text: &str) -> Option<IpAddr> {
    ip(text).as_result().ok().copied()
}

/// An address and a port, which is `PORT` unless the text has one. `0` alone is none.
pub(crate) const fn address_port<const PORT: u16>() -> Kind<Option<SocketAddr>> {
    Kind {
        form: || form("address:port", "ADDRESS:PORT", Syntax::Text),
        read: |given, reading| {
            let what = "is no address with a port such as 0.0.0.0";
            read(given, reading, |text| match socket_address(text, PORT) {
                _ if text == "0" => Ok(None),
                None => Err(format!("{text:?} {what}:{PORT}")),
                address => Ok(address),
            })
        },
        write: |address| address.map_or_else(|| "0".into(), |address| address.to_string().into()),
    }
}

/// Parses `address:port`, `[address]:port`, or an address to which `port` is added
/// (`AppendPortIfNeeded`).
fn socket_address(text: &str, port: u16) -> Option<SocketAddr> {
    if let Some(address) = bare_address(text) {
        return Some(SocketAddr::new(address, port));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    // An IPv6 address without brackets cannot be separated from its port.
    let is_clear = host.starts_with('[') || !host.contains(':');
    let address = bare_address(host).filter(|_| is_clear)?;
    Some(SocketAddr::new(address, port))
}

fn bare_address(text: &str) -> Option<IpAddr> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    address(inner.unwrap_or(text))
}

/// One network, or one of each family with a comma between.
pub(crate) const NETWORK_PAIR: Kind<Vec<IpNetwork>> = Kind {
    form: || {
        form(
            "network, or one of each family, `,` between",
            "CIDR,…",
            Syntax::Text,
        )
    },
    read: |given, reading| read(given, reading, network_pair),
    write: |networks| texts(networks).join(",").into(),
};

fn network_pair(text: &str) -> Result<Vec<IpNetwork>, String> {
    let parts = text.split(',').map(|part| network(part.trim()));
    let networks: Vec<_> = parts.collect::<Result<_, _>>()?;
    match networks[..] {
        [_] => Ok(networks),
        [first, second] if first.is_ipv4() != second.is_ipv4() => Ok(networks),
        [_, _] => Err(format!("{text:?} has two networks of one family")),
        _ => Err(format!("{text:?} has more than one network of each family")),
    }
}

/// A type with a word for each of its values.
pub(crate) trait Words: Copy + PartialEq + 'static {
    /// The words and their values.
    const WORDS: &'static [(&'static str, Self)];

    /// Returns the word of a value.
    fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, value)| *value == self);
        found.map_or("", |(word, _)| word)
    }
}

/// Declares an `enum` with [`Words`].
macro_rules! words {
    (
        $(#[$attribute:meta])* $visibility:vis enum $name:ident {
            $($(#[$of_value:meta])* $value:ident = $word:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name { $($(#[$of_value])* $value,)+ }

        impl $crate::config::kind::Words for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$value)),+];
        }
    };
}
pub(crate) use words;

/// One of the words of a type.
pub(crate) const fn choice<T: Words>() -> Kind<T> {
    Kind {
        form: || form(word_list(T::WORDS), "WORD", Syntax::Text),
        read: |given, reading| read(given, reading, |text| Ok(one_of(T::WORDS, text)?.1)),
        write: |value| value.word().into(),
    }
}

/// Returns the pair of a word.
pub(crate) fn one_of<T: Copy>(
    pairs: &[(&'static str, T)],
    text: &str,
) -> Result<(&'static str, T), String> {
    let found = pairs.iter().find(|(word, _)| *word == text).copied();
    found.ok_or_else(|| {
        let words: Vec<_> = pairs.iter().map(|(word, _)| *word).collect();
        format!("{text:?} is not supported, only {}", words.join(", "))
    })
}

/// Returns the words as the reference shows them.
pub(crate) fn word_list<T>(pairs: &[(&str, T)]) -> String {
    let words: Vec<_> = pairs.iter().map(|(word, _)| format!("`{word}`")).collect();
    words.join(", ")
}
