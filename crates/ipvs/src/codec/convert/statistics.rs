//! Conversion of counters.

use crate::codec::attributes::{Nested, StatisticsAttribute};
use crate::types::Statistics;

/// Reads counters; missing ones are zero.
#[must_use]
pub fn read_statistics(nested: &Nested<StatisticsAttribute>) -> Statistics {
    let mut statistics = Statistics::default();
    for attribute in &nested.attributes {
        let (field, counter) = match attribute {
            StatisticsAttribute::Connections(counter) => (&mut statistics.connections, counter),
            StatisticsAttribute::PacketsIn(counter) => (&mut statistics.packets_in, counter),
            StatisticsAttribute::PacketsOut(counter) => (&mut statistics.packets_out, counter),
            StatisticsAttribute::BytesIn(counter) => (&mut statistics.bytes_in, counter),
            StatisticsAttribute::BytesOut(counter) => (&mut statistics.bytes_out, counter),
            StatisticsAttribute::ConnectionRate(counter) => {
                (&mut statistics.connection_rate, counter)
            }
            StatisticsAttribute::PacketRateIn(counter) => (&mut statistics.packet_rate_in, counter),
            StatisticsAttribute::PacketRateOut(counter) => {
                (&mut statistics.packet_rate_out, counter)
            }
            StatisticsAttribute::ByteRateIn(counter) => (&mut statistics.byte_rate_in, counter),
            StatisticsAttribute::ByteRateOut(counter) => (&mut statistics.byte_rate_out, counter),
            StatisticsAttribute::Padding(_) | StatisticsAttribute::Other(_) => continue,
        };
        *field = counter.value();
    }
    statistics
}
