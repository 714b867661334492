//! Parses lines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::{FromStr, SplitAsciiWhitespace};

use ipnetwork::IpNetwork;

use super::display::NAMES;
use crate::{Entry, Family, HashType, Header, Protocol, Set, SetName};

/// One line of `ipset save`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `create NAME TYPE …`.
    Create(SetName, Header),
    /// `add NAME ENTRY`. If the third part is an address without a length, the entry is parsed as
    /// one of `hash:ip,port,ip`; [`Header::fit`] converts it to the type of the set.
    Add(SetName, Entry),
}

/// Text that is not an output of `ipset save`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// Line number, starting at 1.
    pub line: usize,
    /// The text that was found and what was expected.
    pub problem: String,
}

/// Parses the output of [`print`](super::print()) or `ipset save`, with its lines in any order.
/// Skips empty lines and lines that start with `#`.
///
/// # Errors
///
/// A line that does not parse, creates a set that another line creates, or adds an entry to a set
/// that no line creates or that cannot contain it.
pub fn parse(text: &str) -> Result<BTreeMap<SetName, Set>, ParseError> {
    parse_numbered((1..).zip(text.lines()))
}

/// Parses lines as [`parse`] does. The caller gives the line numbers, for a part of a larger text.
///
/// # Errors
///
/// Fails as [`parse`] does.
pub fn parse_numbered<'a>(
    lines: impl IntoIterator<Item = (usize, &'a str)>,
) -> Result<BTreeMap<SetName, Set>, ParseError> {
    let mut sets = BTreeMap::new();
    let mut entries = Vec::new();
    for (line, text) in lines {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let wrong = |problem| ParseError { line, problem };
        match parse_line(text).map_err(wrong)? {
            Line::Add(name, entry) => entries.push((line, name, entry)),
            Line::Create(name, header) => {
                let set = Set {
                    header,
                    entries: BTreeSet::new(),
                };
                if sets.insert(name.clone(), set).is_some() {
                    return Err(wrong(format!("set {name} is created twice")));
                }
            }
        }
    }
    for (line, name, entry) in entries {
        add(&mut sets, &name, entry).map_err(|problem| ParseError { line, problem })?;
    }
    Ok(sets)
}

fn add(sets: &mut BTreeMap<SetName, Set>, name: &SetName, entry: Entry) -> Result<(), String> {
    let set = (sets.get_mut(name)).ok_or_else(|| format!("no line creates the set {name}"))?;
    let entry = set.header.fit(entry).map_err(|unfit| unfit.to_string())?;
    set.entries.insert(entry);
    Ok(())
}

/// Parses one line. Skips options of a `create` that the kernel chooses.
///
/// # Errors
///
/// A message with the text that was found and what was expected.
pub fn parse_line(line: &str) -> Result<Line, String> {
    let mut words = Words(line.split_ascii_whitespace());
    let parsed = match words.next("create or add")? {
        "create" => Line::Create(words.name()?, words.header()?),
        "add" => Line::Add(words.name()?, words.next("an entry")?.parse()?),
        other => return Err(format!("`{other}` is not create or add")),
    };
    match words.0.next() {
        None => Ok(parsed),
        Some(more) => Err(format!("unexpected `{more}` at the end of the line")),
    }
}

struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    fn next(&mut self, expected: &str) -> Result<&'a str, String> {
        (self.0.next()).ok_or_else(|| format!("expected {expected}, but the line ends"))
    }

    fn name(&mut self) -> Result<SetName, String> {
        SetName::new(self.next("a set's name")?).map_err(|error| error.to_string())
    }

    fn header(&mut self) -> Result<Header, String> {
        match self.next("a set's type")? {
            "bitmap:port" => self.bitmap_port(),
            hash_type => self.hash(hash_type.parse()?),
        }
    }

    /// Parses the options of a hash. The defaults are ipset's: `family inet maxelem 65536`.
    fn hash(&mut self, hash_type: HashType) -> Result<Header, String> {
        let mut family = Family::Inet;
        let mut max_elements = 65_536;
        while let Some(option) = self.0.next() {
            match option {
                "family" => family = self.next("inet or inet6")?.parse()?,
                "maxelem" => max_elements = number(self.next("a number")?, option)?,
                "hashsize" | "bucketsize" | "initval" => {
                    self.next("a number")?;
                }
                other => return Err(format!("option `{other}` of {hash_type} is not supported")),
            }
        }
        Ok(Header::Hash {
            hash_type,
            family,
            max_elements,
        })
    }

    fn bitmap_port(&mut self) -> Result<Header, String> {
        let option = self.next("range")?;
        if option != "range" {
            return Err(format!("option `{option}` of bitmap:port is not supported"));
        }
        let range = self.next("a range such as 0-65535")?;
        range
            .split_once('-')
            .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
            .filter(|(first, last)| first <= last)
            .map(|(first, last)| Header::BitmapPort { first, last })
            .ok_or_else(|| format!("`{range}` is not a range of ports such as 0-65535"))
    }
}

impl FromStr for HashType {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Ip, Self::IpPort, Self::IpPortIp, Self::IpPortNet]
            .into_iter()
            .find(|hash_type| hash_type.to_string() == word)
            .ok_or_else(|| format!("`{word}` is not bitmap:port or a supported type of hash"))
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "inet" => Ok(Self::Inet),
            "inet6" => Ok(Self::Inet6),
            other => Err(format!("`{other}` is not inet or inet6")),
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match NAMES.iter().find(|(_, name)| *name == word) {
            Some((protocol, _)) => Ok(*protocol),
            None => (word.parse().map(Self))
                .map_err(|_| format!("`{word}` is not tcp, udp, sctp, udplite or a number")),
        }
    }
}

/// Parses an entry without knowing its set. If the third part is an address without a length, the
/// result is [`Entry::IpPortIp`], even if the text was printed from an [`Entry::IpPortNet`].
impl FromStr for Entry {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let mut parts = word.split(',');
        let (first, place, last) = (parts.next(), parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(format!("`{word}` has more than three parts"));
        }
        let first = first.unwrap_or_default();
        let Some(place) = place else {
            return match first.parse() {
                Ok(port) => Ok(Self::Port(port)),
                Err(_) => Ok(Self::Ip(address(first)?)),
            };
        };
        let address = address(first)?;
        let (protocol, port) = place
            .split_once(':')
            .ok_or_else(|| format!("`{place}` is not a protocol and port such as tcp:80"))?;
        let protocol = protocol.parse()?;
        let port = number(port, "a port")?;
        match last {
            None => Ok(Self::IpPort(address, protocol, port)),
            Some(last) => with_last(address, protocol, port, last),
        }
    }
}

fn with_last(address: IpAddr, protocol: Protocol, port: u16, last: &str) -> Result<Entry, String> {
    if let Ok(other) = last.parse() {
        same_family(address, other)?;
        return Ok(Entry::IpPortIp(address, protocol, port, other));
    }
    let network: IpNetwork =
        (last.parse()).map_err(|_| format!("`{last}` is not an address or a network"))?;
    same_family(address, network.ip())?;
    if network.prefix() == 0 {
        return Err(format!(
            "`{last}` has length 0, which sets of this type do not accept"
        ));
    }
    let masked = IpNetwork::new(network.network(), network.prefix());
    let network = masked.map_err(|error| error.to_string())?;
    Ok(Entry::IpPortNet(address, protocol, port, network))
}

fn same_family(address: IpAddr, other: IpAddr) -> Result<(), String> {
    if Family::of(address) == Family::of(other) {
        Ok(())
    } else {
        Err(format!("{address} and {other} are of different families"))
    }
}

fn address(word: &str) -> Result<IpAddr, String> {
    word.parse()
        .map_err(|_| format!("`{word}` is not an address"))
}

fn number<T: FromStr>(word: &str, what: &str) -> Result<T, String> {
    word.parse()
        .map_err(|_| format!("{what}: `{word}` is not a number in its range"))
}
