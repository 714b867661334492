//! Parses lines.

use std::iter::Peekable;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroI32, NonZeroU32, ParseIntError};
use std::str::{FromStr, SplitAsciiWhitespace};
use std::time::Duration;

use super::print::flag_names;
use crate::types::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    Tunnel, TunnelFlags, TunnelKind, VirtualServer, VirtualServerKey,
};

/// One line of `ipvsadm-save`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `-A`: a virtual server.
    VirtualServer(VirtualServer),
    /// `-a`: a real server of the given virtual server.
    RealServer(VirtualServerKey, RealServer),
}

/// Text that is not a line of `ipvsadm-save`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// Line number, starting at 1.
    pub line: usize,
    /// The text that was found and what was expected.
    pub problem: String,
}

/// Parses the lines of `text`. Skips empty lines and lines that start with `#`.
///
/// # Errors
///
/// The first invalid line.
pub fn parse_lines(text: &str) -> Result<Vec<Line>, ParseError> {
    (1..)
        .zip(text.lines())
        .map(|(number, line)| (number, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| parse_line(text).map_err(|problem| ParseError { line, problem }))
        .collect()
}

/// Parses one line.
///
/// # Errors
///
/// A message with the text that was found and what was expected.
pub fn parse_line(text: &str) -> Result<Line, String> {
    let mut words = Words(text.split_ascii_whitespace().peekable());
    match words.0.next() {
        Some("-A" | "--add-service") => words.virtual_server().map(Line::VirtualServer),
        Some("-a" | "--add-server") => words
            .real_server()
            .map(|(key, real)| Line::RealServer(key, real)),
        // First words of the output of `ipvsadm -L`.
        Some(other @ ("IP" | "Prot" | "->" | "TCP" | "UDP" | "SCTP" | "FWM")) => Err(format!(
            "`{other}` belongs to the output of ipvsadm -L; save the table with ipvsadm-save -n"
        )),
        Some(other) => Err(format!(
            "`{other}` is not -A (a virtual server) or -a (a real server)"
        )),
        None => Err("the line is empty".to_owned()),
    }
}

/// Seconds that ipvsadm uses for `-p` without a number, `DEF_TIMEOUT` in its `ipvsadm.c`.
const DEFAULT_PERSISTENCE: u32 = 360;

/// Address of a real server, and its port. Without a port, the virtual server's is used.
struct RealServerAddress {
    address: IpAddr,
    port: Option<u16>,
}

impl FromStr for RealServerAddress {
    type Err = AddrParseError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if let Ok(socket) = word.parse::<SocketAddr>() {
            return Ok(Self {
                address: socket.ip(),
                port: Some(socket.port()),
            });
        }
        let bare = word
            .strip_prefix('[')
            .and_then(|word| word.strip_suffix(']'));
        Ok(Self {
            address: bare.unwrap_or(word).parse()?,
            port: None,
        })
    }
}

impl RealServerAddress {
    fn key(&self, server: &VirtualServerKey) -> RealServerKey {
        let virtual_port = match server {
            VirtualServerKey::Address { port, .. } => *port,
            VirtualServerKey::Fwmark { .. } => 0,
        };
        RealServerKey {
            address: self.address,
            port: self.port.unwrap_or(virtual_port),
        }
    }
}

/// A firewall mark. `ipvsadm-save` prints marks above 2^31-1 as negative numbers.
struct Mark(NonZeroU32);

impl FromStr for Mark {
    type Err = ParseIntError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.parse::<NonZeroI32>() {
            Ok(signed) => Ok(Self(signed.cast_unsigned())),
            Err(_) => word.parse().map(Self),
        }
    }
}

/// Options that select a virtual server.
#[derive(Default)]
struct Selector {
    address: Option<(Protocol, SocketAddr)>,
    mark: Option<NonZeroU32>,
    ipv6: bool,
}

impl Selector {
    /// Parses `option` with its value if it selects a virtual server; returns false otherwise.
    fn parse_option(&mut self, option: &str, words: &mut Words<'_>) -> Result<bool, String> {
        let protocol = match option {
            "-t" | "--tcp-service" => Protocol::Tcp,
            "-u" | "--udp-service" => Protocol::Udp,
            "--sctp-service" => Protocol::Sctp,
            "-f" | "--fwmark-service" => {
                let Mark(mark) = words.value(option, "a firewall mark from 1")?;
                self.mark = Some(mark);
                return Ok(true);
            }
            "-6" | "--ipv6" => {
                self.ipv6 = true;
                return Ok(true);
            }
            other => match other.strip_prefix("--protocol-").map(str::parse) {
                Some(Ok(number)) => Protocol::Other(number),
                _ => return Ok(false),
            },
        };
        let socket = words.value(
            option,
            "an address and port such as 10.96.0.10:80, as ipvsadm-save -n writes them",
        )?;
        self.address = Some((protocol, socket));
        Ok(true)
    }

    fn key(&self) -> Result<VirtualServerKey, String> {
        match (self.address, self.mark) {
            (Some((protocol, socket)), None) => Ok(VirtualServerKey::Address {
                address: socket.ip(),
                port: socket.port(),
                protocol,
            }),
            (None, Some(mark)) => Ok(VirtualServerKey::Fwmark {
                family: if self.ipv6 {
                    AddressFamily::Ipv6
                } else {
                    AddressFamily::Ipv4
                },
                mark,
            }),
            (None, None) => {
                Err("the virtual server is missing: use -t, -u, --sctp-service or -f".into())
            }
            (Some(_), Some(_)) => Err("an address and a firewall mark exclude each other".into()),
        }
    }
}

struct Words<'a>(Peekable<SplitAsciiWhitespace<'a>>);

impl<'a> Words<'a> {
    fn virtual_server(mut self) -> Result<VirtualServer, String> {
        let mut selector = Selector::default();
        let mut scheduler = "wlc";
        let mut flags = ServiceFlags::empty();
        let mut timeout = Duration::ZERO;
        let mut mask = None;
        let mut engine = None;
        let mut names = "";
        while let Some(option) = self.0.next() {
            if selector.parse_option(option, &mut self)? {
                continue;
            }
            match option {
                "-s" | "--scheduler" => scheduler = self.word(option, "a scheduler")?,
                "-p" | "--persistent" => {
                    flags |= ServiceFlags::PERSISTENT;
                    timeout = self.persistence(option)?;
                }
                "-M" | "--netmask" => mask = Some(self.word(option, "a netmask")?),
                "--pe" => engine = Some(self.word(option, "a persistence engine")?.into()),
                "-o" | "--ops" => flags |= ServiceFlags::ONE_PACKET,
                "-b" | "--set-scheduler-flags" => names = self.word(option, "flags")?,
                other => return Err(format!("`{other}` is not an option of a virtual server")),
            }
        }
        let key = selector.key()?;
        for name in names.split(',').filter(|name| !name.is_empty()) {
            flags |= scheduler_flag(scheduler, name)?;
        }
        Ok(VirtualServer {
            key,
            scheduler: Scheduler(scheduler.into()),
            flags,
            persistence_timeout: timeout,
            persistence_prefix: prefix(&key, mask)?,
            persistence_engine: engine,
        })
    }

    fn real_server(mut self) -> Result<(VirtualServerKey, RealServer), String> {
        let mut selector = Selector::default();
        let mut place = None;
        let mut forwarding = Forwarding::DirectRoute;
        let mut tunnel = Tunnel {
            kind: TunnelKind::Ipip,
            port: 0,
            flags: TunnelFlags::empty(),
        };
        let (mut weight, mut upper_threshold, mut lower_threshold) = (1, 0, 0);
        while let Some(option) = self.0.next() {
            if selector.parse_option(option, &mut self)? {
                continue;
            }
            match option {
                "-r" | "--real-server" => {
                    place = Some(self.value::<RealServerAddress>(
                        option,
                        "an address and port such as 10.1.2.3:8080, as ipvsadm-save -n writes them",
                    )?);
                }
                "-g" | "--gatewaying" => forwarding = Forwarding::DirectRoute,
                "-m" | "--masquerading" => forwarding = Forwarding::Masquerade,
                "-i" | "--ipip" => forwarding = Forwarding::Tunnel(tunnel),
                "--local" => forwarding = Forwarding::LocalNode,
                "--bypass" => forwarding = Forwarding::Bypass,
                "-w" | "--weight" => weight = self.value(option, "a weight")?,
                "-x" | "--u-threshold" => upper_threshold = self.value(option, "connections")?,
                "-y" | "--l-threshold" => lower_threshold = self.value(option, "connections")?,
                "--tun-type" => {
                    tunnel.kind = match self.word(option, "ipip, gue or gre")? {
                        "ipip" => TunnelKind::Ipip,
                        "gue" => TunnelKind::Gue,
                        "gre" => TunnelKind::Gre,
                        other => match other.parse() {
                            Ok(number) => TunnelKind::Other(number),
                            Err(_) => return Err(format!("`{other}` is not ipip, gue or gre")),
                        },
                    };
                }
                "--tun-port" => tunnel.port = self.value(option, "a port")?,
                "--tun-nocsum" => tunnel.flags = TunnelFlags::empty(),
                "--tun-csum" => tunnel.flags |= TunnelFlags::CSUM,
                "--tun-remcsum" => tunnel.flags |= TunnelFlags::REMCSUM,
                // ipvsadm prints this for a forwarding method that it does not know.
                "(null)" => {
                    return Err(
                        "`(null)` is a forwarding method that ipvsadm does not know; save the table with ipvsctl get tables -o text"
                            .to_owned(),
                    );
                }
                other => match other.strip_prefix("--forwarding-").map(str::parse) {
                    Some(Ok(number)) => forwarding = Forwarding::Other(number),
                    _ => return Err(format!("`{other}` is not an option of a real server")),
                },
            }
        }
        if let Forwarding::Tunnel(of_line) = &mut forwarding {
            *of_line = tunnel;
        }
        let place = place.ok_or("the real server is missing: use -r")?;
        let key = selector.key()?;
        let real = RealServer {
            key: place.key(&key),
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        };
        Ok((key, real))
    }

    /// Parses seconds; returns ipvsadm's default of 360 if another option follows.
    fn persistence(&mut self, option: &str) -> Result<Duration, String> {
        let is_omitted = self.0.peek().is_none_or(|word| word.starts_with('-'));
        let seconds = if is_omitted {
            DEFAULT_PERSISTENCE
        } else {
            self.value::<u32>(option, "seconds")?
        };
        Ok(Duration::from_secs(u64::from(seconds)))
    }

    fn word(&mut self, option: &str, expected: &str) -> Result<&'a str, String> {
        (self.0.next()).ok_or_else(|| format!("{option} expects {expected}, but the line ends"))
    }

    fn value<T: FromStr>(&mut self, option: &str, expected: &str) -> Result<T, String> {
        let word = self.word(option, expected)?;
        word.parse()
            .map_err(|_| format!("{option} expects {expected}, not `{word}`"))
    }
}

/// Returns the flag that `scheduler` calls `name`, such as `sh-port` or `flag-2`.
///
/// # Errors
///
/// A message if the scheduler has no such flag.
pub fn scheduler_flag(scheduler: &str, name: &str) -> Result<ServiceFlags, String> {
    let flags = [
        ServiceFlags::SCHED_1,
        ServiceFlags::SCHED_2,
        ServiceFlags::SCHED_3,
    ];
    let own = flag_names(scheduler);
    let generic = flag_names("");
    (flags.into_iter().zip(own).zip(generic))
        .find(|((_, own), generic)| *own == name || *generic == name)
        .map(|((flag, _), _)| flag)
        .ok_or_else(|| format!("`{name}` is not a flag of scheduler {scheduler}"))
}

fn prefix(key: &VirtualServerKey, mask: Option<&str>) -> Result<u8, String> {
    let family = key.family();
    let wrong = |mask: &str| format!("-M expects a netmask or, for IPv6, a length, not `{mask}`");
    match (family, mask) {
        (AddressFamily::Ipv4, None) => Ok(32),
        (AddressFamily::Ipv6, None) => Ok(128),
        (AddressFamily::Ipv4, Some(mask)) => {
            let address: Ipv4Addr = mask.parse().map_err(|_| wrong(mask))?;
            let bits = u32::from(address);
            let ones = bits.leading_ones();
            if bits.count_ones() == ones {
                u8::try_from(ones).map_err(|_| wrong(mask))
            } else {
                Err(wrong(mask))
            }
        }
        (AddressFamily::Ipv6, Some(mask)) => mask
            .parse()
            .ok()
            .filter(|prefix| (1..=128).contains(prefix))
            .ok_or_else(|| wrong(mask)),
    }
}
