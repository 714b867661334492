//! `virtual_server` and `real_server`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    Tunnel, TunnelFlags, TunnelKind, VirtualServer, VirtualServerKey,
};

use super::Statement;
use super::check::{self, Settings};
use super::group::{Groups, Member};
use crate::import::{Entry, Imported};

/// Scheduler without `lvs_sched`, `IPVS_DEF_SCHED`.
const DEFAULT_SCHEDULER: &str = "wlc";

/// Persistence timeout without a number, seconds, `IPVS_SVC_PERSISTENT_TIMEOUT`.
const DEFAULT_PERSISTENCE: u32 = 360;

/// Protocol without `protocol`: the kernel takes 0, which keepalived sends, for UDP
/// (`validate_check_config`, keepalived 2.2).
const DEFAULT_PROTOCOL: Protocol = Protocol::Udp;

/// Reads a `virtual_server`, which has several entries of the table if it names a group. Mistakes
/// are reported.
///
/// # Errors
///
/// There are too many servers.
pub(super) fn read(
    statement: &Statement,
    groups: &Groups,
    found: &mut Imported,
) -> Result<(), String> {
    let members = match members(statement, groups) {
        Ok(members) => members,
        Err(problem) => {
            let text = format!("{problem}; the virtual server is not imported");
            found.error(&statement.file, statement.line, &text);
            return Ok(());
        }
    };
    let mut reader = Reader::new(statement, found);
    for line in &statement.block {
        if let Err(problem) = reader.setting(line) {
            let text = format!("{}: {problem}; the setting is ignored", line.keyword());
            reader.found.error(&line.file, line.line, &text);
        }
    }
    reader.flags_of_scheduler();
    let has_address = members
        .iter()
        .any(|member| matches!(member, Member::Address(..)));
    if has_address && reader.protocol.is_none() {
        reader.note(
            statement,
            "protocol is missing: UDP is used, as in keepalived",
        );
    }
    let (real_servers, health_check) = reader.all_real_servers();
    for member in members.iter().copied() {
        reader.found.reserve(1 + real_servers.len())?;
        match reader.entry(member, &real_servers) {
            Ok(entry) => reader.found.servers.push(Entry {
                health_check: health_check.clone(),
                ..entry
            }),
            Err(problem) => {
                let text = format!("{problem}; the virtual server is not imported");
                reader.found.error(&statement.file, statement.line, &text);
            }
        }
    }
    Ok(())
}

fn members<'g>(statement: &Statement, groups: &'g Groups) -> Result<Cow<'g, [Member]>, String> {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    match words[1..] {
        ["group", name, ..] => match groups.get(name) {
            Some(members) => Ok(Cow::Borrowed(members)),
            None => Err(format!("there is no virtual_server_group {name}")),
        },
        ["fwmark", mark, ..] => {
            let mark = mark
                .parse()
                .map_err(|_| format!("`{mark}` is not a firewall mark"))?;
            Ok(Cow::Owned(vec![Member::Mark(mark)]))
        }
        [address, ref port @ ..] => {
            let address = address_of(address)?;
            let port = port.first().map_or(Ok(0), |text| self::port(text))?;
            Ok(Cow::Owned(vec![Member::Address(address, port)]))
        }
        [] => Err("the address is missing".to_owned()),
    }
}

fn address_of(text: &str) -> Result<IpAddr, String> {
    (text.parse()).map_err(|_| format!("`{text}` is not an IP address"))
}

/// Parses a port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    (text.parse()).map_err(|_| format!("`{text}` is not a port from 0 to 65535"))
}

/// Parses the number after the keyword.
pub(super) fn number(line: &Statement) -> Result<u32, String> {
    let text = line.value().ok_or("the number is missing")?;
    text.parse()
        .map_err(|_| format!("`{text}` is not a number"))
}

/// Settings of a virtual server so far.
struct Reader<'a> {
    statement: &'a Statement,
    found: &'a mut Imported,
    scheduler: Option<String>,
    flags: ServiceFlags,
    /// Flags of the scheduler, which a later line may name.
    flag_lines: Vec<&'a Statement>,
    timeout: Option<u32>,
    /// Netmask or prefix length.
    granularity: Option<&'a str>,
    engine: Option<&'a str>,
    protocol: Option<Protocol>,
    family: Option<AddressFamily>,
    forwarding: Option<Forwarding>,
    weight: u32,
    /// Settings of the checks of all real servers.
    checks: Settings<'a>,
    real_servers: Vec<&'a Statement>,
}

impl<'a> Reader<'a> {
    fn new(statement: &'a Statement, found: &'a mut Imported) -> Self {
        Self {
            statement,
            found,
            scheduler: None,
            flags: ServiceFlags::empty(),
            flag_lines: Vec::new(),
            timeout: None,
            granularity: None,
            engine: None,
            protocol: None,
            family: None,
            forwarding: None,
            weight: 1,
            checks: Settings::default(),
            real_servers: Vec::new(),
        }
    }

    fn setting(&mut self, line: &'a Statement) -> Result<(), String> {
        let value = || line.value().ok_or("the value is missing");
        if self.checks.read(line, self.found)? {
            return Ok(());
        }
        match line.keyword() {
            "lvs_sched" | "lb_algo" => self.scheduler = Some(value()?.to_owned()),
            "lvs_method" | "lb_kind" => self.forwarding = Some(forwarding(line)?),
            "persistence_timeout" => {
                self.timeout = Some(match line.value() {
                    Some(_) => number(line)?,
                    None => DEFAULT_PERSISTENCE,
                });
            }
            "persistence_granularity" => self.granularity = Some(value()?),
            "persistence_engine" => self.engine = Some(value()?),
            "protocol" => self.protocol = Some(protocol(value()?)?),
            "ip_family" => self.family = Some(family(value()?)?),
            "weight" => self.weight = number(line)?,
            "ops" => self.flags |= ServiceFlags::ONE_PACKET,
            "flag-1" | "flag-2" | "flag-3" | "sh-port" | "sh-fallback" | "mh-port"
            | "mh-fallback" => self.flag_lines.push(line),
            // The kernel sets it itself.
            "hashed" => {}
            "real_server" => self.real_servers.push(line),
            "sorry_server" | "sorry_server_inhibit" | "sorry_server_lvs_method" => {
                let text = "is not imported: nothing takes over while all real servers are down";
                self.note(line, &format!("{} {text}", line.words.join(" ")));
            }
            _ => self.note_unknown(line),
        }
        Ok(())
    }

    /// Adds the flags of the scheduler. keepalived ignores those of another one.
    fn flags_of_scheduler(&mut self) {
        let scheduler = self.scheduler.clone();
        let scheduler = scheduler.as_deref().unwrap_or(DEFAULT_SCHEDULER);
        for line in std::mem::take(&mut self.flag_lines) {
            match ipvs::text::scheduler_flag(scheduler, line.keyword()) {
                Ok(flag) => self.flags |= flag,
                Err(problem) => self.note(line, &format!("{problem}; it is ignored")),
            }
        }
    }

    fn note(&mut self, line: &Statement, text: &str) {
        self.found.note(&line.file, line.line, text);
    }

    fn note_unknown(&mut self, line: &Statement) {
        let text = format!("{} has no equivalent and is not imported", line.keyword());
        self.note(line, &text);
    }

    /// Returns the real servers with their settings, and the check that all of them have. Mistakes
    /// are left out.
    fn all_real_servers(&mut self) -> (Vec<RealServer>, Option<String>) {
        if self.forwarding.is_none() && !self.real_servers.is_empty() {
            let has_own =
                |real: &&Statement| real.block.iter().any(|line| line.keyword() == "lvs_method");
            if !self.real_servers.iter().all(has_own) {
                self.note(
                    self.statement,
                    "lvs_method is missing: NAT (masquerade) is used",
                );
            }
        }
        let mut keys = BTreeSet::new();
        let mut real_servers = Vec::new();
        let mut checks = Vec::new();
        for line in std::mem::take(&mut self.real_servers) {
            match self.real_server(line) {
                Ok((real, check)) if keys.insert(real.key) => {
                    real_servers.push(real);
                    checks.push(check);
                }
                Ok((real, _)) => {
                    let text = format!("{} exists already; it is ignored", real.key);
                    self.found.error(&line.file, line.line, &text);
                }
                Err(problem) => {
                    let text = format!("{problem}; the real server is not imported");
                    self.found.error(&line.file, line.line, &text);
                }
            }
        }
        let check = check::shared(self.statement, &real_servers, &checks, self.found);
        (real_servers, check)
    }

    /// Returns a real server and its check.
    fn real_server(&mut self, line: &'a Statement) -> Result<(RealServer, Option<String>), String> {
        let address = line.value().ok_or("the address is missing")?;
        let own_port = line.words.get(2).map(|text| port(text)).transpose()?;
        let mut real = RealServer {
            key: RealServerKey {
                address: address_of(address)?,
                port: own_port.unwrap_or_else(|| self.virtual_port()),
            },
            forwarding: self.forwarding.unwrap_or(Forwarding::Masquerade),
            weight: self.weight,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        let mut settings = self.checks;
        for setting in &line.block {
            match settings.read(setting, self.found) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(problem) => {
                    let text = format!("{}: {problem}; the setting is ignored", setting.keyword());
                    self.found.error(&setting.file, setting.line, &text);
                    continue;
                }
            }
            match setting.keyword() {
                "weight" => real.weight = number(setting)?,
                "lvs_method" => real.forwarding = forwarding(setting)?,
                "uthreshold" => real.upper_threshold = number(setting)?,
                "lthreshold" => real.lower_threshold = number(setting)?,
                kind if check::is_check(kind) => {}
                _ => self.note_unknown(setting),
            }
        }
        let protocol = match self.statement.value() {
            Some("fwmark") => Protocol::Tcp,
            _ => self.protocol.unwrap_or(DEFAULT_PROTOCOL),
        };
        let check = check::of_real_server(line, &real, protocol, settings, self.found);
        Ok((real, check))
    }

    /// Returns the virtual port; 0 for a firewall mark and a group, whose number or name it is not.
    fn virtual_port(&self) -> u16 {
        if matches!(self.statement.value(), Some("fwmark" | "group")) {
            return 0;
        }
        let port = self.statement.words.get(2);
        port.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn entry(&self, member: Member, real_servers: &[RealServer]) -> Result<Entry, String> {
        let key = match member {
            Member::Address(address, port) => VirtualServerKey::Address {
                address,
                port,
                protocol: self.protocol.unwrap_or(DEFAULT_PROTOCOL),
            },
            Member::Mark(mark) => VirtualServerKey::Fwmark {
                family: self.family.unwrap_or_else(|| family_of(real_servers)),
                mark,
            },
        };
        Ok(Entry {
            server: self.server(key)?,
            real_servers: real_servers.to_vec(),
            bind: true,
            health_check: None,
        })
    }

    fn server(&self, key: VirtualServerKey) -> Result<VirtualServer, String> {
        let scheduler = self.scheduler.as_deref().unwrap_or(DEFAULT_SCHEDULER);
        let mut flags = self.flags;
        let default_timeout = self.granularity.map(|_| DEFAULT_PERSISTENCE);
        let timeout = (self.timeout.or(default_timeout)).filter(|timeout| *timeout > 0);
        let mut prefix = match key.family() {
            AddressFamily::Ipv4 => 32,
            AddressFamily::Ipv6 => 128,
        };
        if timeout.is_some() {
            flags |= ServiceFlags::PERSISTENT;
            if let Some(text) = self.granularity {
                prefix = granularity(key.family(), text)?;
            }
        }
        Ok(VirtualServer {
            key,
            scheduler: Scheduler(scheduler.into()),
            flags,
            persistence_timeout: Duration::from_secs(timeout.unwrap_or(0).into()),
            persistence_prefix: prefix,
            persistence_engine: self.engine.map(Into::into),
        })
    }
}

/// Returns the family of a firewall mark without `ip_family`: that of the real servers without a
/// tunnel, then of all, then IPv4 (`vs_end_handler`).
fn family_of(real_servers: &[RealServer]) -> AddressFamily {
    let of_direct =
        (real_servers.iter()).find(|real| !matches!(real.forwarding, Forwarding::Tunnel(_)));
    let families: BTreeSet<_> = match of_direct {
        Some(real) => [AddressFamily::of(real.key.address)].into(),
        None => real_servers
            .iter()
            .map(|real| AddressFamily::of(real.key.address))
            .collect(),
    };
    match (families.len(), families.first()) {
        (1, Some(family)) => *family,
        _ => AddressFamily::Ipv4,
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    Protocol::named(text).ok_or_else(|| format!("`{text}` is not TCP, UDP or SCTP"))
}

fn family(text: &str) -> Result<AddressFamily, String> {
    match text {
        "inet" => Ok(AddressFamily::Ipv4),
        "inet6" => Ok(AddressFamily::Ipv6),
        _ => Err(format!("`{text}` is not inet or inet6")),
    }
}

/// Parses the netmask of IPv4 or the prefix length of IPv6.
fn granularity(family: AddressFamily, text: &str) -> Result<u8, String> {
    let invalid = || {
        format!(
            "persistence_granularity: `{text}` is not a netmask of IPv4 or a prefix length of IPv6"
        )
    };
    match family {
        AddressFamily::Ipv4 => {
            let mask: std::net::Ipv4Addr = text.parse().map_err(|_| invalid())?;
            let prefix = ipnetwork::ipv4_mask_to_prefix(mask).map_err(|_| invalid())?;
            Ok(prefix)
        }
        AddressFamily::Ipv6 => {
            let prefix = text
                .parse()
                .ok()
                .filter(|prefix| (1..=128).contains(prefix));
            prefix.ok_or_else(invalid)
        }
    }
}

/// Parses `lvs_method NAT|DR|TUN [type ipip|gue port NUMBER|gre] [nocsum|csum|remcsum]`.
fn forwarding(line: &Statement) -> Result<Forwarding, String> {
    let words: Vec<&str> = line.words.iter().skip(1).map(String::as_str).collect();
    let mut tunnel = Tunnel {
        kind: TunnelKind::Ipip,
        port: 0,
        flags: TunnelFlags::empty(),
    };
    let [method, options @ ..] = words.as_slice() else {
        return Err("the value is missing".to_owned());
    };
    match *method {
        "NAT" => return Ok(Forwarding::Masquerade),
        "DR" => return Ok(Forwarding::DirectRoute),
        "TUN" => {}
        other => return Err(format!("`{other}` is not NAT, DR or TUN")),
    }
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut value = || options.next().copied().unwrap_or_default();
        match *option {
            "type" => {
                tunnel.kind = match value() {
                    "ipip" => TunnelKind::Ipip,
                    "gue" => TunnelKind::Gue,
                    "gre" => TunnelKind::Gre,
                    other => return Err(format!("`{other}` is not ipip, gue or gre")),
                };
            }
            "port" => tunnel.port = port(value())?,
            "nocsum" => tunnel.flags = TunnelFlags::empty(),
            "csum" => tunnel.flags = TunnelFlags::CSUM,
            "remcsum" => tunnel.flags = TunnelFlags::REMCSUM,
            other => return Err(format!("`{other}` is not an option of TUN")),
        }
    }
    Ok(Forwarding::Tunnel(tunnel))
}
