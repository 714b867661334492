//! Reads virtual servers of other programs: ipvsadm and keepalived.

pub mod keepalived;
mod list;
mod saved;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipvs::{AddressFamily, Protocol, RealServer, RealServerKey, VirtualServer, VirtualServerKey};
use model::SafeText;
use sources::virtual_server::{self, Manifest};

/// Largest file that is read, bytes. The configuration of 10,000 virtual servers has about 5 MB.
pub const MAX_BYTES: u64 = 64 << 20;

/// Maximum number of virtual servers and real servers together. A group of keepalived repeats the
/// real servers for each of its addresses.
const MAX_SERVERS: usize = 1 << 20;

/// Maximum number of notes. Further ones are counted.
const MAX_NOTES: usize = 1_000;

/// A kind of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    /// Output of ipvsadm-save -n.
    IpvsadmSave,
    /// Output of ipvsadm -Ln; followed by that of ipvsadm -Ln --thresholds to import thresholds.
    IpvsadmList,
    /// A configuration file of keepalived.
    Keepalived,
}

/// Virtual servers of another program.
#[derive(Debug, Default)]
pub struct Imported {
    /// Virtual servers in the order of the input.
    pub servers: Vec<Entry>,
    /// Parts of the input that were not imported, in order.
    pub notes: Vec<Note>,
    /// Number of notes beyond the maximum.
    pub more_notes: usize,
    /// Number of virtual servers and real servers.
    size: usize,
}

/// A virtual server and its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The virtual server.
    pub server: VirtualServer,
    /// Its real servers in the order of the input.
    pub real_servers: Vec<RealServer>,
    /// False if another program adds the address to the node.
    pub bind: bool,
    /// Health check of the real servers, as the field `healthCheck` holds it.
    pub health_check: Option<String>,
}

/// A part of the input that has no equivalent or is a mistake. Prints as `FILE:LINE: TEXT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file; `-` for standard input.
    pub file: PathBuf,
    /// Line, counted from 1; 0 if unknown.
    pub line: usize,
    /// The problem and what happens.
    pub text: SafeText,
    /// True for a mistake of the input: a part of it is missing in the result.
    pub is_error: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        write!(f, " {}", self.text)
    }
}

impl Imported {
    /// Returns true if a part of the input could not be read.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.notes.iter().any(|note| note.is_error)
    }

    /// Makes room for this number of virtual servers and real servers.
    ///
    /// # Errors
    ///
    /// They would be too many.
    fn reserve(&mut self, servers: usize) -> Result<(), String> {
        self.size = self.size.saturating_add(servers);
        match self.size > MAX_SERVERS {
            true => Err(format!(
                "there are more than {MAX_SERVERS} virtual servers and real servers"
            )),
            false => Ok(()),
        }
    }

    /// Adds a part of the input that has no equivalent.
    fn note(&mut self, file: &Path, line: usize, text: &str) {
        self.add_note(file, line, text, false);
    }

    /// Adds a mistake of the input.
    fn error(&mut self, file: &Path, line: usize, text: &str) {
        self.add_note(file, line, text, true);
    }

    fn add_note(&mut self, file: &Path, line: usize, text: &str, is_error: bool) {
        // Errors decide the status, so at least one is kept.
        if self.notes.len() >= MAX_NOTES && (!is_error || self.has_errors()) {
            self.more_notes += 1;
            return;
        }
        self.notes.push(Note {
            file: file.to_owned(),
            line,
            text: text.into(),
            is_error,
        });
    }

    /// Returns the manifests of the virtual servers. A virtual server that no manifest can describe
    /// becomes a mistake of the input.
    pub fn manifests(&mut self, path: &Path) -> Vec<Manifest> {
        let mut manifests = Vec::new();
        let mut names = BTreeSet::new();
        for entry in std::mem::take(&mut self.servers) {
            let key = entry.server.key;
            let name = name_of(&key);
            if !names.insert(name.clone()) {
                let text = format!("{key} is defined more than once: the first definition is used");
                self.error(path, 0, &text);
                continue;
            }
            match virtual_server::encode(&name, &entry.server, &entry.real_servers, entry.bind) {
                Ok(mut manifest) => {
                    manifest.spec.health_check = entry.health_check.map(Into::into);
                    manifests.push(manifest);
                }
                Err(error) => self.error(path, 0, &format!("{key} is not imported: {error}")),
            }
        }
        manifests
    }
}

/// Returns the name of the VirtualServer for `key`, such as `tcp-192-0-2-10-80` or `fwmark-7`.
#[must_use]
pub fn name_of(key: &VirtualServerKey) -> String {
    match key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } => {
            let protocol = match protocol {
                Protocol::Tcp => "tcp".to_owned(),
                Protocol::Udp => "udp".to_owned(),
                Protocol::Sctp => "sctp".to_owned(),
                Protocol::Other(number) => format!("protocol-{number}"),
            };
            let address = address.to_string().replace(['.', ':'], "-");
            format!("{protocol}-{address}-{port}")
        }
        VirtualServerKey::Fwmark {
            family: AddressFamily::Ipv4,
            mark,
        } => format!("fwmark-{mark}"),
        VirtualServerKey::Fwmark { mark, .. } => format!("fwmark-{mark}-ipv6"),
    }
}

/// Returns the kind of input that `text` is.
#[must_use]
pub fn detect(text: &str) -> Origin {
    let first = (text.lines().map(str::trim))
        .find(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .unwrap_or_default();
    let is_list = [
        "IP Virtual Server",
        "Prot ",
        "TCP ",
        "UDP ",
        "SCTP ",
        "FWM ",
        "-> ",
    ];
    if ["-A", "-a", "--add-"]
        .iter()
        .any(|start| first.starts_with(start))
    {
        Origin::IpvsadmSave
    } else if is_list.iter().any(|start| first.starts_with(start)) {
        Origin::IpvsadmList
    } else {
        Origin::Keepalived
    }
}

/// Options for a configuration of keepalived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Name of keepalived's `--config-id`.
    pub config_id: Option<&'a str>,
    /// True to read the files that the configuration includes. Otherwise each is a mistake.
    pub includes: bool,
}

/// Parses `text`, which was read from `path`.
#[must_use]
pub fn parse(path: &Path, text: &str, origin: Origin, options: Options<'_>) -> Imported {
    match origin {
        Origin::IpvsadmSave => saved::parse(path, text),
        Origin::IpvsadmList => list::parse(path, text),
        Origin::Keepalived => keepalived::parse(path, text, options),
    }
}

/// Virtual servers by key, in the order of the input.
#[derive(Default)]
struct Table {
    found: Imported,
    by_key: BTreeMap<VirtualServerKey, usize>,
    real_servers: BTreeMap<(VirtualServerKey, RealServerKey), usize>,
}

impl Table {
    /// Adds a virtual server.
    ///
    /// # Errors
    ///
    /// Its key exists, or there are too many. The message says which.
    fn add(&mut self, server: VirtualServer) -> Result<(), String> {
        let key = server.key;
        if self.by_key.contains_key(&key) {
            return Err(format!("{key} exists already"));
        }
        self.found.reserve(1)?;
        self.by_key.insert(key, self.found.servers.len());
        self.found.servers.push(Entry {
            server,
            real_servers: Vec::new(),
            bind: true,
            health_check: None,
        });
        Ok(())
    }

    /// Adds a real server.
    ///
    /// # Errors
    ///
    /// Its virtual server is missing, its key exists, or there are too many. The message says which.
    fn add_real(&mut self, key: VirtualServerKey, real: RealServer) -> Result<(), String> {
        let Some(index) = self.by_key.get(&key).copied() else {
            return Err(format!("no earlier line adds {key}"));
        };
        if self.real_servers.contains_key(&(key, real.key)) {
            return Err(format!("{} of {key} exists already", real.key));
        }
        self.found.reserve(1)?;
        let real_servers = &mut self.found.servers[index].real_servers;
        self.real_servers
            .insert((key, real.key), real_servers.len());
        real_servers.push(real);
        Ok(())
    }

    fn contains(&self, key: &VirtualServerKey) -> bool {
        self.by_key.contains_key(key)
    }

    fn real_mut(&mut self, key: VirtualServerKey, real: RealServerKey) -> Option<&mut RealServer> {
        let entry = &mut self.found.servers[*self.by_key.get(&key)?];
        let index = self.real_servers.get(&(key, real))?;
        entry.real_servers.get_mut(*index)
    }
}

/// Parses an address with an optional port: `10.0.0.1:80`, `[fd00::1]:80`, `10.0.0.1`.
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Some((socket.ip(), socket.port()));
    }
    let bare = (text.strip_prefix('[')).and_then(|text| text.strip_suffix(']'));
    Some((bare.unwrap_or(text).parse().ok()?, 0))
}
