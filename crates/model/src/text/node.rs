//! Prints and parses the section `# node`: properties of the machine, and interfaces as `ip -o addr`
//! prints them.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;

use super::{TextError, at};
use crate::DEVICE;
use crate::keepalive::Keepalive;
use crate::missing_family::{FamilyGap, MissingFamily};
use crate::names::Name;
use crate::safe_text::escaped;
use crate::snapshot::{Interface, Machine, NodeState};

pub(super) fn print(node: &NodeState) -> Vec<String> {
    let NodeState {
        interfaces,
        machine:
            Machine {
                kernel,
                processors,
                keepalive,
            },
        missing,
    } = node;
    let mut lines = Vec::new();
    lines.extend(kernel.map(|version| format!("kernel {version}")));
    lines.extend(processors.map(|count| format!("processors {count}")));
    lines.extend(keepalive.map(print_keepalive));
    lines.extend(missing.as_ref().map(print_missing));
    for (number, interface) in (1..).zip(interfaces) {
        let name = without_spaces(&interface.name);
        if interface.addresses.is_empty() {
            lines.push(format!("{number}: {name}"));
        }
        for address in &interface.addresses {
            let family = match address {
                IpNetwork::V4(_) => "inet",
                IpNetwork::V6(_) => "inet6",
            };
            lines.push(format!("{number}: {name}    {family} {address}"));
        }
    }
    lines
}

pub(super) fn parse(lines: &[(usize, &str)]) -> Result<NodeState, TextError> {
    let mut node = NodeState::default();
    let mut interfaces: BTreeMap<u32, Interface> = BTreeMap::new();
    for (line, text) in lines {
        let mut words = text.split_ascii_whitespace();
        let (first, rest) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
        let known = match (first, &rest[..]) {
            ("kernel", [release]) => {
                let version = release.parse().map_err(at(*line))?;
                node.machine.kernel.replace(version).is_none()
            }
            ("processors", [count]) => match count.parse() {
                Ok(count) => node.machine.processors.replace(count).is_none(),
                Err(_) => false,
            },
            ("keepalive", [time, interval, probes]) => {
                match Keepalive::parse([time, interval, probes].map(|value| Some(*value))) {
                    Some(keepalive) => node.machine.keepalive.replace(keepalive).is_none(),
                    None => false,
                }
            }
            ("missing", rest) => match parse_missing(rest) {
                Some(missing) => node.missing.replace(missing).is_none(),
                None => false,
            },
            (number, rest) => interface(&mut interfaces, number, rest).is_some(),
        };
        if !known {
            return Err(at(*line)(format!(
                "`{text}` is not a property of a node, such as `kernel 6.1`, `processors 4` or `1: eth0 inet \
                 192.0.2.7/24`, or it is listed twice"
            )));
        }
    }
    node.interfaces = (interfaces.into_values())
        .filter(|interface| &*interface.name != DEVICE)
        .collect();
    node.interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(node)
}

/// Adds the address of a line `2: eth0    inet 192.0.2.7/24 …`; returns `None` if it is not such a
/// line. Everything after the address is ignored.
fn interface(interfaces: &mut BTreeMap<u32, Interface>, number: &str, rest: &[&str]) -> Option<()> {
    let number: u32 = number.strip_suffix(':')?.parse().ok()?;
    let (name, address) = match rest {
        [name] => (name, None),
        [name, "inet" | "inet6", address, ..] => (name, Some(parse_network(address)?)),
        _ => return None,
    };
    let name = without_spaces(name);
    let interface = interfaces.entry(number).or_insert_with(|| Interface {
        name: Name::from(&*name),
        addresses: Vec::new(),
    });
    if *interface.name != name {
        return None;
    }
    interface.addresses.extend(address);
    Some(())
}

/// Parses an address with an optional prefix length. The bits after the prefix are kept.
fn parse_network(text: &str) -> Option<IpNetwork> {
    text.parse().ok()
}

/// Returns the keepalive as a line with its time, interval and number of probes.
fn print_keepalive(keepalive: Keepalive) -> String {
    let Keepalive {
        time,
        interval,
        probes,
    } = keepalive;
    format!("keepalive {time} {interval} {probes}")
}

fn print_missing(missing: &MissingFamily) -> String {
    let MissingFamily { family, gap } = missing;
    let setting = gap.setting().map(|setting| without_spaces(setting));
    let name = gap.name();
    match setting {
        Some(setting) => format!("missing {family} {name} {setting}"),
        None => format!("missing {family} {name}"),
    }
}

fn parse_missing(words: &[&str]) -> Option<MissingFamily> {
    let (family, name, setting) = match words {
        [family, name] => (family, name, None),
        [family, name, setting] => (family, name, Some(*setting)),
        _ => return None,
    };
    Some(MissingFamily {
        family: (AddressFamily::ALL.into_iter()).find(|known| known.to_string() == *family)?,
        gap: FamilyGap::named(name, setting.map(without_spaces).as_deref())?,
    })
}

/// Returns a name as one word. The kernel has no names with spaces (`dev_valid_name`,
/// net/core/dev.c, Linux 6.1), but a file that describes a node may.
fn without_spaces(name: &str) -> String {
    let word: String = (escaped(name).chars())
        .map(|c| if c.is_whitespace() { '_' } else { c })
        .collect();
    if word.is_empty() {
        "_".to_owned()
    } else {
        word
    }
}
