//! Traffic of Services as a table, for `top --once`.

use super::columns::{Column, Columns, StreamedTable};
use super::stream::Lines;
use crate::error::Error;
use crate::top::traffic::{ServiceTraffic, Traffic};

/// Prints a line for each Service. With `is_wide`, also one for each virtual server and real
/// server.
///
/// # Errors
///
/// The output cannot be written.
pub fn table(
    services: &[&ServiceTraffic],
    is_wide: bool,
    lines: &mut Lines<'_>,
) -> Result<(), Error> {
    let numbers = [
        "ENDPOINTS",
        "DRAINING",
        "CONN/s",
        "ACTIVE",
        "INACTIVE",
        "PKTS IN/s",
        "PKTS OUT/s",
        "BYTES IN/s",
        "BYTES OUT/s",
    ];
    let mut columns = vec![Column::text("SERVICE")];
    columns.extend(numbers.map(Column::number));
    let mut table = StreamedTable::new(lines, Columns::new(columns));
    for service in services {
        table.row(row(service.name.clone(), &service.traffic))?;
        for server in service.servers.iter().filter(|_| is_wide) {
            table.row(row(format!("  {}", server.key), &server.traffic))?;
            for real in &server.real_servers {
                table.row(row(format!("    {}", real.key), &real.traffic))?;
            }
        }
    }
    table.end("No virtual servers.")
}

fn row(name: String, traffic: &Traffic) -> Vec<String> {
    let rate = |value: f64| format!("{value:.1}");
    vec![
        name,
        traffic.endpoints.to_string(),
        traffic.draining.to_string(),
        rate(traffic.connection_rate),
        traffic.active.to_string(),
        traffic.inactive.to_string(),
        rate(traffic.packet_rate_in),
        rate(traffic.packet_rate_out),
        rate(traffic.byte_rate_in),
        rate(traffic.byte_rate_out),
    ]
}
