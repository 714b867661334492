//! The lines of `ipset save`, as ipset 7.17 prints them.
//!
//! ```text
//! create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536
//! add KUBE-CLUSTER-IP 10.96.0.1,tcp:443
//! ```
//!
//! A `create` omits the options that the kernel chooses: `hashsize`, `bucketsize` and `initval`.
//!
//! ```
//! let text = "create B bitmap:port range 0-65535\nadd B 80\n";
//! let sets = ipset::text::parse(text)?;
//! assert_eq!(ipset::text::print(&sets), text);
//! # Ok::<(), ipset::text::ParseError>(())
//! ```

mod display;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use parse::{Line, ParseError, parse, parse_line, parse_numbered};

use crate::{Entry, Header, Set, SetName};

/// Returns the line that creates the set: `create KUBE-CLUSTER-IP hash:ip,port family inet maxelem
/// 65536`.
#[must_use]
pub fn print_create(name: &SetName, header: &Header) -> String {
    format!("create {name} {header}")
}

/// Returns the line that adds the entry: `add KUBE-CLUSTER-IP 10.96.0.1,tcp:443`.
#[must_use]
pub fn print_entry(name: &SetName, entry: &Entry) -> String {
    format!("add {name} {entry}")
}

/// Returns the lines of `sets`: for each set its `create`, then its entries in order.
#[must_use]
pub fn print(sets: &BTreeMap<SetName, Set>) -> String {
    let mut text = String::new();
    for (name, set) in sets {
        let entries = set.entries.iter().map(|entry| print_entry(name, entry));
        for line in std::iter::once(print_create(name, &set.header)).chain(entries) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}
