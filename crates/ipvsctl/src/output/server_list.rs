//! Virtual servers with their real servers, printed while they are read.

#[cfg(test)]
mod tests;

use ipvs::text::{print_real_server, print_virtual_server};
use ipvs::{RealServerStatus, Statistics, VirtualServer};
use model::{ServicePortName, VirtualServerEntry};

use super::columns::{Column, Columns, StreamedTable};
use super::servers::{or_dash, persistence};
use super::stream::{Lines, ListObject};
use crate::cli::Format;
use crate::error::Error;
use crate::schema::{self, Document as _, NodeTables, flag_names};

/// A virtual server with its real servers and counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEntry {
    /// The virtual server.
    pub server: VirtualServer,
    /// Counters of the virtual server.
    pub statistics: Statistics,
    /// Real servers in the order of the output.
    pub real_servers: Vec<RealServerStatus>,
}

/// Selection of the shown columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// True to show all settings.
    pub wide: bool,
    /// True if numbers of connections are known.
    pub counts: bool,
    /// True to show counters.
    pub stats: bool,
    /// True to show rates.
    pub rate: bool,
}

/// Prints servers in one of the formats.
#[derive(Debug)]
pub enum Printer<'l, 'a> {
    /// Columns.
    Table(Box<StreamedTable<'l, 'a>>, Shown),
    /// Lines of `ipvsadm-save`.
    Text(&'l mut Lines<'a>),
    /// JSON or YAML.
    Object(ListObject<'l, 'a>, Shown),
}

impl<'l, 'a> Printer<'l, 'a> {
    /// Begins the output.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn begin(lines: &'l mut Lines<'a>, format: Format, shown: Shown) -> Result<Self, Error> {
        Ok(match format {
            Format::Table | Format::Wide => {
                let wide = format == Format::Wide;
                let shown = Shown { wide, ..shown };
                let table = StreamedTable::new(lines, columns(shown));
                Self::Table(Box::new(table), shown)
            }
            Format::Text => Self::Text(lines),
            Format::Json | Format::Yaml => {
                let object = ListObject::begin(lines, format, NodeTables::KIND, "virtualServers")?;
                Self::Object(object, shown)
            }
        })
    }

    /// Makes room for a virtual server that will be printed later.
    pub fn fit(&mut self, server: &VirtualServer, owner: Option<&ServicePortName>) {
        if let Self::Table(table, shown) = self {
            table.fit(&server_cells(server, owner, *shown));
        }
    }

    /// Prints a virtual server with its real servers.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn entry(
        &mut self,
        entry: &ServerEntry,
        owner: Option<&ServicePortName>,
    ) -> Result<(), Error> {
        match self {
            Self::Table(table, shown) => {
                let mut rows = rows(entry, owner, *shown).into_iter();
                rows.try_for_each(|cells| table.row(cells))
            }
            Self::Text(lines) => {
                let key = &entry.server.key;
                lines.line(&print_virtual_server(&entry.server))?;
                let mut reals = entry.real_servers.iter();
                reals.try_for_each(|real| lines.line(&print_real_server(key, &real.server)))
            }
            Self::Object(object, shown) => object.item(&object_of(entry, owner, *shown)),
        }
    }

    /// Ends the output. `nothing` is printed instead of an empty table.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn end(self, nothing: &str) -> Result<(), Error> {
        match self {
            Self::Table(table, _) => table.end(nothing),
            Self::Text(lines) => lines.flush(),
            Self::Object(object, _) => object.end(),
        }
    }
}

/// Returns the object of JSON and YAML.
fn object_of(
    entry: &ServerEntry,
    owner: Option<&ServicePortName>,
    shown: Shown,
) -> schema::VirtualServer {
    let with_statistics = shown.stats || shown.rate;
    let settings = VirtualServerEntry {
        server: entry.server.clone(),
        real_servers: Default::default(),
    };
    let mut object = schema::VirtualServer::new(&settings, owner);
    object.statistics = with_statistics.then(|| entry.statistics.into());
    let reals = entry.real_servers.iter().map(|real| schema::RealServer {
        connections: shown.counts.then(|| real.connections.into()),
        statistics: with_statistics.then(|| real.statistics.into()),
        ..schema::RealServer::from(&real.server)
    });
    object.real_servers = reals.collect();
    object
}

fn columns(shown: Shown) -> Columns {
    let mut columns = vec![
        Column::text("VIRTUAL SERVER"),
        Column::text("SERVICE"),
        Column::text("SCHEDULER"),
    ];
    if shown.wide {
        columns.extend([Column::text("FLAGS"), Column::text("PERSISTENCE")]);
    }
    columns.extend([
        Column::text("REAL SERVER"),
        Column::text("FORWARDING"),
        Column::number("WEIGHT"),
    ]);
    if shown.wide {
        columns.push(Column::text("THRESHOLDS"));
    }
    if shown.counts {
        columns.extend([Column::number("ACTIVE"), Column::number("INACTIVE")]);
    }
    if shown.counts && shown.wide {
        columns.push(Column::number("PERSISTENT"));
    }
    if shown.stats {
        let titles = [
            "CONNECTIONS",
            "PACKETS IN",
            "PACKETS OUT",
            "BYTES IN",
            "BYTES OUT",
        ];
        columns.extend(titles.map(Column::number));
    }
    if shown.rate {
        let titles = [
            "CONN/s",
            "PKTS IN/s",
            "PKTS OUT/s",
            "BYTES IN/s",
            "BYTES OUT/s",
        ];
        columns.extend(titles.map(Column::number));
    }
    Columns::new(columns)
}

/// Returns the lines of a virtual server. With counters it has a line of its own, else it shares
/// the line of its first real server.
fn rows(entry: &ServerEntry, owner: Option<&ServicePortName>, shown: Shown) -> Vec<Vec<String>> {
    let left = server_cells(&entry.server, owner, shown);
    let blank = vec![String::new(); left.len()];
    let reals = entry.real_servers.iter().map(|real| {
        let mut cells = real_cells(real, shown);
        cells.extend(counter_cells(&real.statistics, shown));
        cells
    });
    let mut rows: Vec<Vec<String>> = Vec::new();
    if shown.stats || shown.rate || entry.real_servers.is_empty() {
        let mut cells = left.clone();
        if entry.real_servers.is_empty() {
            cells.push("(none)".to_owned());
        }
        cells.resize(left.len() + real_width(shown), String::new());
        cells.extend(counter_cells(&entry.statistics, shown));
        rows.push(cells);
    }
    for real in reals {
        let left = if rows.is_empty() { &left } else { &blank };
        rows.push(left.iter().cloned().chain(real).collect());
    }
    rows
}

fn server_cells(
    server: &VirtualServer,
    owner: Option<&ServicePortName>,
    shown: Shown,
) -> Vec<String> {
    let owner = owner.map(ToString::to_string).unwrap_or_default();
    let mut cells = vec![
        server.key.to_string(),
        model::escaped(&or_dash(owner)),
        model::escaped(&server.scheduler.to_string()),
    ];
    if shown.wide {
        cells.push(or_dash(flag_names(server.flags).join(",")));
        cells.push(model::escaped(&or_dash(persistence(server))));
    }
    cells
}

fn real_cells(status: &RealServerStatus, shown: Shown) -> Vec<String> {
    let real = &status.server;
    let mut cells = vec![
        real.key.to_string(),
        real.forwarding.to_string(),
        real.weight.to_string(),
    ];
    if shown.wide {
        cells.push(match real.upper_threshold {
            0 => "-".to_owned(),
            upper => format!("{}..{upper}", real.lower_threshold),
        });
    }
    let ipvs::Connections {
        active,
        inactive,
        persistent,
    } = status.connections;
    if shown.counts {
        cells.extend([active.to_string(), inactive.to_string()]);
    }
    if shown.counts && shown.wide {
        cells.push(persistent.to_string());
    }
    cells
}

/// Returns the number of cells of a real server without its counters.
fn real_width(shown: Shown) -> usize {
    let Shown { wide, counts, .. } = shown;
    3 + usize::from(wide) + 2 * usize::from(counts) + usize::from(counts && wide)
}

fn counter_cells(statistics: &Statistics, shown: Shown) -> Vec<String> {
    let Statistics {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
        connection_rate,
        packet_rate_in,
        packet_rate_out,
        byte_rate_in,
        byte_rate_out,
    } = statistics;
    let mut numbers = Vec::new();
    if shown.stats {
        numbers.extend([connections, packets_in, packets_out, bytes_in, bytes_out]);
    }
    if shown.rate {
        numbers.extend([
            connection_rate,
            packet_rate_in,
            packet_rate_out,
            byte_rate_in,
            byte_rate_out,
        ]);
    }
    numbers.into_iter().map(u64::to_string).collect()
}
