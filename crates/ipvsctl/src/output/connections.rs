//! Connections and their numbers.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use ipvs::connection::Connection;
use ipvs::{Protocol, RealServerKey, VirtualServerKey};
use model::ServicePortName;

use super::columns::{Column, Columns, StreamedTable};
use super::stream::{Lines, ListObject};
use crate::cli::Format;
use crate::error::Error;
use crate::schema::{
    self, ConnectionList, ConnectionSummary, Document as _, Endpoint, RealServerConnections,
    ServicePort,
};

/// Prints connections in one of the formats.
#[derive(Debug)]
pub enum Printer<'l, 'a> {
    /// Columns; true if all of them are shown.
    Table(Box<StreamedTable<'l, 'a>>, bool),
    /// Lines of `ipvsadm -Lnc`.
    Text(&'l mut Lines<'a>),
    /// JSON or YAML.
    Object(ListObject<'l, 'a>),
}

impl<'l, 'a> Printer<'l, 'a> {
    /// Begins the output.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn begin(lines: &'l mut Lines<'a>, format: Format) -> Result<Self, Error> {
        Ok(match format {
            Format::Table | Format::Wide => {
                let is_wide = format == Format::Wide;
                let table = StreamedTable::new(lines, columns(is_wide));
                Self::Table(Box::new(table), is_wide)
            }
            Format::Text => Self::Text(lines),
            Format::Json | Format::Yaml => Self::Object(ListObject::begin(
                lines,
                format,
                ConnectionList::KIND,
                "connections",
            )?),
        })
    }

    /// Prints a connection of the Service port `owner`.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn connection(
        &mut self,
        connection: &Connection,
        owner: Option<&ServicePortName>,
    ) -> Result<(), Error> {
        match self {
            Self::Table(table, is_wide) => table.row(cells(connection, owner, *is_wide)),
            Self::Text(lines) => lines.line(&line(connection)),
            Self::Object(object) => {
                let service = owner.map(ServicePort::from);
                object.item(&schema::Connection::new(connection, service))
            }
        }
    }

    /// Ends the output.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn end(self) -> Result<(), Error> {
        match self {
            Self::Table(table, _) => table.end("No connections."),
            Self::Text(lines) => lines.flush(),
            Self::Object(object) => object.end(),
        }
    }
}

fn columns(is_wide: bool) -> Columns {
    let mut columns = vec![
        Column::text("PROTOCOL"),
        Column::text("CLIENT"),
        Column::text("VIRTUAL SERVER"),
        Column::text("SERVICE"),
        Column::text("REAL SERVER"),
        Column::text("STATE"),
        Column::number("EXPIRES"),
    ];
    if is_wide {
        columns.extend([Column::text("KIND"), Column::text("ENGINE")]);
    }
    Columns::new(columns)
}

fn cells(connection: &Connection, owner: Option<&ServicePortName>, is_wide: bool) -> Vec<String> {
    let mut cells = vec![
        schema::protocol_name(connection.protocol),
        connection.client.to_string(),
        connection.destination.to_string(),
        service(owner),
        connection.real.to_string(),
        model::escaped(&connection.state),
        expiry(connection.expires),
    ];
    if is_wide {
        let kind = match connection.is_template() {
            true => "template",
            false => "connection",
        };
        let engine = connection.engine.as_deref().unwrap_or("-");
        cells.extend([kind.to_owned(), model::escaped(engine)]);
    }
    cells
}

fn service(owner: Option<&ServicePortName>) -> String {
    owner.map_or_else(
        || "-".to_owned(),
        |owner| model::escaped(&owner.to_string()),
    )
}

/// Returns minutes and seconds, as `ipvsadm -Lnc` prints them.
fn expiry(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// Returns a line in the format of `ipvsadm -Lnc` (`ipvsadm.c`, `print_conn`, ipvsadm 1.31).
fn line(connection: &Connection) -> String {
    format!(
        "{:<3} {:<6} {:<11} {:<18} {:<18} {}",
        schema::protocol_name(connection.protocol),
        expiry(connection.expires),
        connection.state,
        connection.client.to_string(),
        connection.destination.to_string(),
        connection.real
    )
}

/// Place of a connection in a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    protocol: Protocol,
    destination: SocketAddr,
    real: RealServerKey,
}

/// Numbers of connections by real server and state. Its size depends on the number of real servers
/// and not on that of the connections.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    places: BTreeMap<Place, (u64, BTreeMap<String, u64>)>,
}

impl Counts {
    /// Counts a connection.
    pub fn add(&mut self, connection: &Connection) {
        let place = Place {
            protocol: connection.protocol,
            destination: connection.destination,
            real: connection.real,
        };
        let (templates, states) = self.places.entry(place).or_default();
        if connection.is_template() {
            *templates += 1;
        } else if let Some(count) = states.get_mut(&connection.state) {
            *count += 1;
        } else {
            states.insert(connection.state.clone(), 1);
        }
    }

    /// Returns the numbers, the largest first. `owner` returns the Service port of a virtual
    /// server, if known.
    pub fn summary<'o>(
        self,
        owner: impl Fn(&VirtualServerKey) -> Option<&'o ServicePortName>,
    ) -> ConnectionSummary {
        let places = self.places.into_iter();
        let mut real_servers: Vec<RealServerConnections> = places
            .map(|(place, (templates, states))| {
                let Place {
                    protocol,
                    destination,
                    real,
                } = place;
                let key = VirtualServerKey::Address {
                    address: destination.ip(),
                    port: destination.port(),
                    protocol,
                };
                RealServerConnections {
                    protocol: schema::protocol_name(protocol),
                    virtual_server: destination.into(),
                    service: owner(&key).map(ServicePort::from),
                    real_server: real.into(),
                    connections: states.values().sum(),
                    templates,
                    states,
                }
            })
            .collect();
        real_servers.sort_by_key(|real| Reverse((real.connections, real.templates)));
        ConnectionSummary {
            api_version: schema::API_VERSION,
            kind: "ConnectionSummary",
            connections: real_servers.iter().map(|real| real.connections).sum(),
            templates: real_servers.iter().map(|real| real.templates).sum(),
            real_servers,
        }
    }
}

/// Prints a summary as a table.
///
/// # Errors
///
/// The output cannot be written.
pub fn summary(summary: &ConnectionSummary, lines: &mut Lines<'_>) -> Result<(), Error> {
    let columns = Columns::new(vec![
        Column::text("SERVICE"),
        Column::text("VIRTUAL SERVER"),
        Column::text("REAL SERVER"),
        Column::number("CONNECTIONS"),
        Column::number("TEMPLATES"),
        Column::text("STATES"),
    ]);
    let mut table = StreamedTable::new(lines, columns);
    for real in &summary.real_servers {
        let virtual_server = socket(real.virtual_server);
        let states: Vec<String> = (real.states.iter())
            .map(|(state, count)| format!("{} {count}", model::escaped(state)))
            .collect();
        let service = real.service.as_ref();
        table.row(vec![
            service.map_or_else(
                || "-".to_owned(),
                |service| model::escaped(&service.to_string()),
            ),
            format!("{virtual_server}/{}", real.protocol),
            socket(real.real_server).to_string(),
            real.connections.to_string(),
            real.templates.to_string(),
            states.join(", "),
        ])?;
    }
    table.end("No connections.")?;
    let mut total = String::new();
    let _ = write!(
        total,
        "connections: {}, templates: {}, real servers: {}",
        summary.connections,
        summary.templates,
        summary.real_servers.len()
    );
    lines.line(&total)?;
    lines.flush()
}

fn socket(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port)
}
