//! Counters of virtual servers, summed by label set.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::{Connections, RealServerKey, Statistics};

use super::{TrafficLabel, VirtualServerTraffic};

/// Totals by the values of their labels.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<Vec<String>, Totals>);

/// Sums of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    statistics: Statistics,
    active: u64,
    inactive: u64,
}

impl Sums {
    pub(super) fn of_services(
        reading: &[VirtualServerTraffic],
        labels: &BTreeSet<TrafficLabel>,
    ) -> Self {
        let mut sums = Self::default();
        for server in reading {
            sums.add(
                server,
                None,
                labels,
                &server.statistics,
                Connections::default(),
            );
        }
        sums
    }

    pub(super) fn of_endpoints(
        reading: &[VirtualServerTraffic],
        labels: &BTreeSet<TrafficLabel>,
    ) -> Self {
        let mut sums = Self::default();
        for server in reading {
            for real in &server.real_servers {
                let key = Some(&real.server.key);
                sums.add(server, key, labels, &real.statistics, real.connections);
            }
        }
        sums
    }

    fn add(
        &mut self,
        server: &VirtualServerTraffic,
        endpoint: Option<&RealServerKey>,
        labels: &BTreeSet<TrafficLabel>,
        statistics: &Statistics,
        connections: Connections,
    ) {
        if labels.is_empty() {
            return;
        }
        let values = labels.iter().map(|label| label.value(server, endpoint));
        if let Some(values) = values.collect::<Option<Vec<String>>>() {
            self.0
                .entry(values)
                .or_default()
                .add(statistics, connections);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the first `limit` label sets in a fixed order, so that each scrape shows the same
    /// series.
    pub(super) fn first(&self, limit: usize) -> impl Iterator<Item = (&[String], &Totals)> {
        (self.0.iter())
            .take(limit)
            .map(|(values, totals)| (&values[..], totals))
    }
}

impl Totals {
    fn add(&mut self, statistics: &Statistics, connections: Connections) {
        let sum = &mut self.statistics;
        sum.connections += statistics.connections;
        sum.packets_in += statistics.packets_in;
        sum.packets_out += statistics.packets_out;
        sum.bytes_in += statistics.bytes_in;
        sum.bytes_out += statistics.bytes_out;
        self.active += u64::from(connections.active);
        self.inactive += u64::from(connections.inactive);
    }

    /// Returns connections, packets, bytes, active and inactive connections. Packets and bytes are
    /// pairs of the two directions.
    pub(super) fn values(&self) -> [(u64, Option<u64>); 5] {
        let sum = &self.statistics;
        [
            (sum.connections, None),
            (sum.packets_in, Some(sum.packets_out)),
            (sum.bytes_in, Some(sum.bytes_out)),
            (self.active, None),
            (self.inactive, None),
        ]
    }
}
