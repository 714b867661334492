//! Text output of live tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use ipnetwork::IpNetwork;
use ipvs::{ServiceFlags, Timeouts, VirtualServer, VirtualServerKey};
use model::{Op, Snapshot};

/// Width of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Columns that fit on a screen.
    Narrow,
    /// All columns.
    Wide,
}

/// Returns a table of the addresses of the dummy device; if wide, with their numbers of virtual
/// servers.
#[must_use]
pub fn addresses(snapshot: &Snapshot, width: Width) -> String {
    let mut titles = vec!["ADDRESS"];
    if width == Width::Wide {
        titles.push("VIRTUAL SERVERS");
    }
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for key in snapshot.tables.virtual_servers.keys() {
        if let VirtualServerKey::Address { address, .. } = key {
            *counts.entry(*address).or_default() += 1;
        }
    }
    let rows = (snapshot.tables.addresses.iter()).map(|address| {
        let mut row = vec![IpNetwork::from(*address).to_string()];
        if width == Width::Wide {
            row.push(counts.get(address).copied().unwrap_or(0).to_string());
        }
        row
    });
    let nothing = match snapshot.device {
        true => format!("No addresses on {}.\n", model::DEVICE),
        false => format!("Device {} does not exist.\n", model::DEVICE),
    };
    table(&titles, rows.collect(), &nothing)
}

/// Returns a table of the idle timeouts.
#[must_use]
pub fn timeouts(timeouts: Timeouts) -> String {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    let row = |what: &str, time: std::time::Duration| {
        vec![what.to_owned(), format!("{} s", time.as_secs())]
    };
    let rows = vec![
        row("TCP, established", tcp),
        row("TCP, after FIN", tcp_fin),
        row("UDP", udp),
    ];
    table(&["CONNECTION", "IDLE TIMEOUT"], rows, "")
}

/// Returns the timeouts as arguments of `ipvsadm`.
#[must_use]
pub fn timeout_line(timeouts: Timeouts) -> String {
    Op::SetTimeouts(timeouts).line() + "\n"
}

pub(super) fn persistence(server: &VirtualServer) -> String {
    if !server.flags.contains(ServiceFlags::PERSISTENT) {
        return String::new();
    }
    let mut text = format!("{} s", server.persistence_timeout.as_secs());
    let _ = write!(text, " /{}", server.persistence_prefix);
    if let Some(engine) = &server.persistence_engine {
        let _ = write!(text, " {engine}");
    }
    text
}

pub(super) fn or_dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

pub(super) fn table(titles: &[&str], rows: Vec<Vec<String>>, nothing: &str) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(titles).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}
