//! Output of `ipvsadm -Ln`, for people (`ipvsadm.c`, `print_service_entry` of ipvsadm 1.31).
//!
//! ```text
//! IP Virtual Server version 1.2.1 (size=4096)
//! Prot LocalAddress:Port Scheduler Flags
//!   -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
//! TCP  192.0.2.10:80 wlc persistent 360 mask 255.255.255.0
//!   -> 10.0.0.1:80                  Masq    1      0          0
//! ```
//!
//! With `--thresholds` the columns of a real server are the two thresholds and the connections. The
//! two outputs together describe all settings except the kind of a tunnel.

use std::path::Path;

use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Tunnel, TunnelFlags,
    TunnelKind, VirtualServer, VirtualServerKey,
};

use super::{Imported, Table, socket};

/// Columns of the lines of real servers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// Forwarding method, weight and connections.
    Usual,
    /// Thresholds and connections.
    Thresholds,
    /// Connections, rates or others, without settings.
    Other,
}

struct Reader<'a> {
    path: &'a Path,
    table: Table,
    columns: Columns,
    /// The virtual server of the following lines.
    current: Option<VirtualServerKey>,
    assumed_tunnel: bool,
}

/// Parses the lines of `text`. A line that is not valid is a mistake, and the others are used.
pub(super) fn parse(path: &Path, text: &str) -> Imported {
    let mut reader = Reader {
        path,
        table: Table::default(),
        columns: Columns::Usual,
        current: None,
        assumed_tunnel: false,
    };
    for (number, line) in (1..).zip(text.lines()) {
        if let Err(problem) = reader.line(number, line) {
            let text = format!("{problem}; the line is ignored");
            reader.table.found.error(path, number, &text);
        }
    }
    reader.table.found
}

impl Reader<'_> {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            None | Some("IP") => {}
            Some("Prot") => self.columns = columns(line),
            Some("->") => {
                let words: Vec<&str> = words.collect();
                // The heading of the column.
                if !words
                    .first()
                    .is_some_and(|word| word.starts_with("RemoteAddress"))
                {
                    self.real_server(number, &words)?;
                }
            }
            Some(protocol) => {
                self.current = None;
                let words: Vec<&str> = words.collect();
                let (key, rest) = key(protocol, &words)?;
                if self.columns == Columns::Usual {
                    let server = virtual_server(key, rest)?;
                    self.table.add(server)?;
                }
                self.current = Some(key);
            }
        }
        Ok(())
    }

    fn real_server(&mut self, number: usize, words: &[&str]) -> Result<(), String> {
        let Some(key) = self.current else {
            return Err("the line of its virtual server is missing or not valid".to_owned());
        };
        let [place, columns @ ..] = words else {
            return Err("the address is missing".to_owned());
        };
        let (address, port) = socket(place).ok_or_else(|| not_numeric(place))?;
        let real_key = RealServerKey { address, port };
        if !self.table.contains(&key) {
            return Err(format!("no earlier line lists {key} with its scheduler"));
        }
        match (self.columns, columns) {
            (Columns::Usual, [forwarding, weight, ..]) => {
                let forwarding = forwarding_of(forwarding)?;
                let real = RealServer {
                    key: real_key,
                    forwarding,
                    weight: number_of(weight)?,
                    upper_threshold: 0,
                    lower_threshold: 0,
                };
                self.table.add_real(key, real)?;
                if matches!(forwarding, Forwarding::Tunnel(_)) && !self.assumed_tunnel {
                    self.assumed_tunnel = true;
                    let text = "the listing does not contain the kind of a tunnel: ipip is assumed";
                    self.table.found.note(self.path, number, text);
                }
            }
            (Columns::Thresholds, [upper, lower, ..]) => {
                let (upper, lower) = (number_of(upper)?, number_of(lower)?);
                let real = self.table.real_mut(key, real_key).ok_or_else(|| {
                    format!("no earlier line lists {real_key} with its forwarding method")
                })?;
                real.upper_threshold = upper;
                real.lower_threshold = lower;
            }
            (Columns::Other, _) => {
                return Err(
                    "the columns contain no settings: use the output of ipvsadm -Ln".to_owned(),
                );
            }
            _ => return Err("columns are missing".to_owned()),
        }
        Ok(())
    }
}

/// Returns the columns that the first line of the heading announces.
fn columns(heading: &str) -> Columns {
    if heading.contains("Scheduler") {
        Columns::Usual
    } else if heading.contains("Uthreshold") {
        Columns::Thresholds
    } else {
        Columns::Other
    }
}

fn key<'w>(
    protocol: &str,
    words: &'w [&'w str],
) -> Result<(VirtualServerKey, &'w [&'w str]), String> {
    let [place, rest @ ..] = words else {
        return Err(format!("`{protocol}` is not followed by an address"));
    };
    let protocol = match protocol {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "FWM" => return mark_key(place, rest),
        other => {
            return Err(format!("`{other}` is not TCP, UDP, SCTP, FWM or ->"));
        }
    };
    let (address, port) = socket(place).ok_or_else(|| not_numeric(place))?;
    let key = VirtualServerKey::Address {
        address,
        port,
        protocol,
    };
    Ok((key, rest))
}

fn mark_key<'w>(
    mark: &str,
    rest: &'w [&'w str],
) -> Result<(VirtualServerKey, &'w [&'w str]), String> {
    let mark = (mark.parse()).map_err(|_| format!("`{mark}` is not a firewall mark"))?;
    let (family, rest) = match rest {
        ["IPv6", rest @ ..] => (AddressFamily::Ipv6, rest),
        rest => (AddressFamily::Ipv4, rest),
    };
    Ok((VirtualServerKey::Fwmark { family, mark }, rest))
}

fn virtual_server(key: VirtualServerKey, words: &[&str]) -> Result<VirtualServer, String> {
    let [scheduler, options @ ..] = words else {
        return Err(format!("{key} has no scheduler"));
    };
    // The rest has the meaning of options of ipvsadm-save.
    let mut line = format!(
        "-A {} -s {scheduler}",
        ipvs::text::print_service_selector(&key)
    );
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = |options: &mut std::slice::Iter<'_, &str>| match options.next() {
            Some(value) => Ok((*value).to_owned()),
            None => Err(format!("`{option}` has no value")),
        };
        let added = match *option {
            "persistent" => format!("-p {}", value(&mut options)?),
            "mask" => format!("-M {}", value(&mut options)?),
            "pe" => format!("--pe {}", value(&mut options)?),
            "ops" => "-o".to_owned(),
            flags => format!("-b {}", flags.trim_start_matches('(').trim_end_matches(')')),
        };
        line.push(' ');
        line.push_str(&added);
    }
    match ipvs::text::parse_line(&line)? {
        ipvs::text::Line::VirtualServer(server) => Ok(server),
        ipvs::text::Line::RealServer(..) => Err("not a virtual server".to_owned()),
    }
}

fn forwarding_of(text: &str) -> Result<Forwarding, String> {
    Ok(match text {
        "Masq" => Forwarding::Masquerade,
        "Local" => Forwarding::LocalNode,
        "Tunnel" => Forwarding::Tunnel(Tunnel {
            kind: TunnelKind::Ipip,
            port: 0,
            flags: TunnelFlags::empty(),
        }),
        "Route" => Forwarding::DirectRoute,
        "Bypass" => Forwarding::Bypass,
        other => {
            return Err(format!(
                "`{other}` is not Masq, Local, Tunnel, Route or Bypass"
            ));
        }
    })
}

fn number_of(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number"))
}

fn not_numeric(place: &str) -> String {
    format!("`{place}` is not an address and port: list the table with ipvsadm -Ln")
}
