//! `virtual_server_group`: several addresses and firewall marks with the same real servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use super::Statement;
use crate::import::Imported;

/// Maximum number of addresses of all groups together.
const MAX_ADDRESSES: usize = 65_536;

/// One member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// An address and a port; 0 without one.
    Address(IpAddr, u16),
    /// A firewall mark.
    Mark(NonZeroU32),
}

/// The groups of a configuration by name.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<String, Vec<Member>>);

impl Groups {
    /// Reads the groups of `statements`.
    pub(super) fn of(statements: &[Statement], found: &mut Imported) -> Self {
        let mut groups = Self::default();
        let mut left = MAX_ADDRESSES;
        for group in statements {
            if group.keyword() != "virtual_server_group" {
                continue;
            }
            let mut members = Vec::new();
            for line in &group.block {
                match self::members(line) {
                    Ok(more) if more.len() <= left => {
                        left -= more.len();
                        members.extend(more);
                    }
                    Ok(_) => {
                        let text = format!(
                            "the groups have more than {MAX_ADDRESSES} addresses: the line is ignored"
                        );
                        found.error(&line.file, line.line, &text);
                    }
                    Err(problem) => {
                        let text = format!("{problem}; the line is ignored");
                        found.error(&line.file, line.line, &text);
                    }
                }
            }
            groups
                .0
                .insert(group.value().unwrap_or_default().to_owned(), members);
        }
        groups
    }

    pub(super) fn get(&self, name: &str) -> Option<&[Member]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

/// Returns the members that one line of a group names.
fn members(line: &Statement) -> Result<Vec<Member>, String> {
    if line.keyword() == "fwmark" {
        let mark = line.value().and_then(|text| text.parse().ok());
        return match mark {
            Some(mark) => Ok(vec![Member::Mark(mark)]),
            None => Err("fwmark needs a number above 0".to_owned()),
        };
    }
    let port = match line.value() {
        Some(text) => super::server::port(text)?,
        None => 0,
    };
    let addresses = range(line.keyword())?;
    Ok(addresses
        .into_iter()
        .map(|at| Member::Address(at, port))
        .collect())
}

/// Returns the addresses of `10.0.0.1`, `10.0.0.1-9` (the last number of the address) or, in
/// hexadecimal, `fd00::1-f`.
fn range(text: &str) -> Result<Vec<IpAddr>, String> {
    let invalid = || format!("`{text}` is not an address or a range such as 192.0.2.10-20");
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (first, Some(last)),
        None => (text, None),
    };
    let first: IpAddr = first.parse().map_err(|_| invalid())?;
    let Some(last) = last else {
        return Ok(vec![first]);
    };
    match first {
        IpAddr::V4(address) => {
            let [a, b, c, from] = address.octets();
            let to: u8 = last.parse().map_err(|_| invalid())?;
            let all = (from..=to).map(|number| Ipv4Addr::new(a, b, c, number).into());
            not_empty(all.collect(), invalid)
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, from] = address.segments();
            let to = u16::from_str_radix(last, 16).map_err(|_| invalid())?;
            let all = (from..=to).map(|number| Ipv6Addr::new(a, b, c, d, e, f, g, number).into());
            not_empty(all.collect(), invalid)
        }
    }
}

fn not_empty(addresses: Vec<IpAddr>, invalid: impl Fn() -> String) -> Result<Vec<IpAddr>, String> {
    match addresses.is_empty() {
        true => Err(invalid()),
        false => Ok(addresses),
    }
}
