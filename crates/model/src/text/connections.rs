//! Prints and parses the section `# connections`: a real server as in `ipvsadm`, and its numbers of
//! connections.

use std::collections::BTreeMap;

use ipvs::text::{Line, parse_line, print_service_selector};
use ipvs::{Connections, RealServerKey, VirtualServerKey};

use super::{TextError, at};

/// Connections by virtual and real server.
type ByServer = BTreeMap<(VirtualServerKey, RealServerKey), Connections>;

pub(super) fn print(connections: &ByServer) -> Vec<String> {
    let lines = connections.iter().map(|((key, real), count)| {
        let Connections {
            active,
            inactive,
            persistent,
        } = count;
        let selector = print_service_selector(key);
        format!("{selector} -r {real} active {active} inactive {inactive} persistent {persistent}")
    });
    lines.collect()
}

pub(super) fn parse(lines: &[(usize, &str)]) -> Result<ByServer, TextError> {
    let mut connections = BTreeMap::new();
    for (line, text) in lines {
        let (server, count) = parse_one(text).ok_or_else(|| {
            at(*line)(format!(
                "`{text}` is not a real server with its connections, such as -t 10.96.0.1:443 -r \
                 192.168.77.1:6443 active 3 inactive 2 persistent 0"
            ))
        })?;
        if connections.insert(server, count).is_some() {
            let problem = format!("real server {} of {} is listed twice", server.1, server.0);
            return Err(at(*line)(problem));
        }
    }
    Ok(connections)
}

fn parse_one(text: &str) -> Option<((VirtualServerKey, RealServerKey), Connections)> {
    let (server, counts) = text.split_once(" active ")?;
    let (active, counts) = counts.split_once(" inactive ")?;
    let (inactive, persistent) = counts.split_once(" persistent ")?;
    let Ok(Line::RealServer(key, real)) = parse_line(&format!("-a {server}")) else {
        return None;
    };
    let count = Connections {
        active: active.parse().ok()?,
        inactive: inactive.parse().ok()?,
        persistent: persistent.parse().ok()?,
    };
    Some(((key, real.key), count))
}
