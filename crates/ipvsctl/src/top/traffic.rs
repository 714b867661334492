//! Rates of traffic from two samples, and their sums for each Service.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use ipvs::{RealServerKey, Statistics, VirtualServerKey};
use model::ServicePortName;

use super::sample::{RealSample, Sample, ServerSample};

/// Traffic of a Service, a virtual server or a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// New connections each second.
    pub connection_rate: f64,
    /// Packets from clients each second.
    pub packet_rate_in: f64,
    /// Packets to clients each second.
    pub packet_rate_out: f64,
    /// Bytes from clients each second.
    pub byte_rate_in: f64,
    /// Bytes to clients each second.
    pub byte_rate_out: f64,
    /// Connections in a state that carries data.
    pub active: u64,
    /// Other connections, and all UDP flows.
    pub inactive: u64,
    /// Number of real servers.
    pub endpoints: u64,
    /// Number of real servers that get no new connections.
    pub draining: u64,
    /// Number of connections since the counters began.
    pub connections: u64,
    /// Number of packets from clients since the counters began.
    pub packets_in: u64,
    /// Number of packets to clients since the counters began.
    pub packets_out: u64,
    /// Number of bytes from clients since the counters began.
    pub bytes_in: u64,
    /// Number of bytes to clients since the counters began.
    pub bytes_out: u64,
}

impl Traffic {
    /// Returns packets in both directions each second.
    #[must_use]
    pub fn packet_rate(&self) -> f64 {
        self.packet_rate_in + self.packet_rate_out
    }

    /// Returns bytes in both directions each second.
    #[must_use]
    pub fn byte_rate(&self) -> f64 {
        self.byte_rate_in + self.byte_rate_out
    }

    /// Returns the traffic of counters that were `before` and are `now` after `elapsed`. The rates
    /// are zero if `before` is unknown.
    fn of(before: Option<&Statistics>, now: &Statistics, elapsed: Duration) -> Self {
        let rate = |field: fn(&Statistics) -> u64| {
            let Some(before) = before else { return 0.0 };
            let (before, now) = (field(before), field(now));
            // A counter that fell began again: the entry was added again, or its counters were
            // reset (ipvsadm -Z).
            let grown = if now < before { now } else { now - before };
            per_second(grown, elapsed)
        };
        Self {
            connection_rate: rate(|counters| counters.connections),
            packet_rate_in: rate(|counters| counters.packets_in),
            packet_rate_out: rate(|counters| counters.packets_out),
            byte_rate_in: rate(|counters| counters.bytes_in),
            byte_rate_out: rate(|counters| counters.bytes_out),
            connections: now.connections,
            packets_in: now.packets_in,
            packets_out: now.packets_out,
            bytes_in: now.bytes_in,
            bytes_out: now.bytes_out,
            ..Self::default()
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.connection_rate += other.connection_rate;
        self.packet_rate_in += other.packet_rate_in;
        self.packet_rate_out += other.packet_rate_out;
        self.byte_rate_in += other.byte_rate_in;
        self.byte_rate_out += other.byte_rate_out;
        for (sum, add) in [
            (&mut self.active, other.active),
            (&mut self.inactive, other.inactive),
            (&mut self.endpoints, other.endpoints),
            (&mut self.draining, other.draining),
            (&mut self.connections, other.connections),
            (&mut self.packets_in, other.packets_in),
            (&mut self.packets_out, other.packets_out),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
        ] {
            *sum = sum.saturating_add(add);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate above 2^53 is not exact")]
fn per_second(count: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

/// Traffic of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeTraffic {
    /// Services, and virtual servers of no known Service, ordered by name.
    pub services: Vec<ServiceTraffic>,
    /// Sum of all Services.
    pub total: Traffic,
    /// Number of virtual servers.
    pub virtual_servers: usize,
    /// False if there was only one sample, so that no rate is known.
    pub has_rates: bool,
}

/// Traffic of a Service, or of a virtual server of no known Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceTraffic {
    /// `namespace/name` of the Service, or the key of the virtual server.
    pub name: String,
    /// True if the Service is known.
    pub is_service: bool,
    /// Sum of the virtual servers.
    pub traffic: Traffic,
    /// Virtual servers ordered by key.
    pub servers: Vec<ServerTraffic>,
}

/// Traffic of a virtual server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerTraffic {
    /// The virtual server.
    pub key: VirtualServerKey,
    /// Name of the port of the Service; empty if unknown.
    pub port: String,
    /// Traffic of the virtual server.
    pub traffic: Traffic,
    /// Real servers ordered by key.
    pub real_servers: Vec<EndpointTraffic>,
}

/// Traffic of a real server.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointTraffic {
    /// The real server.
    pub key: RealServerKey,
    /// Weight; 0 for a real server that gets no new connections.
    pub weight: u32,
    /// Traffic of the real server.
    pub traffic: Traffic,
}

impl NodeTraffic {
    /// Returns the traffic between the samples `before` and `now`. `owner` returns the Service port
    /// of a virtual server, if known.
    pub fn between<'a>(
        before: Option<&Sample>,
        now: &Sample,
        owner: impl Fn(&VirtualServerKey) -> Option<&'a ServicePortName>,
    ) -> Self {
        // Services come first, then virtual servers in the order of their addresses.
        let mut services: BTreeMap<_, ServiceTraffic> = BTreeMap::new();
        let mut total = Traffic::default();
        for (key, sample) in &now.servers {
            let before = before.and_then(|before| before.servers.get(key));
            let owner = owner(key);
            let server = ServerTraffic::between(*key, before, sample, owner);
            total += server.traffic;
            let place = match owner {
                Some(owner) => (Some(&owner.service), None),
                None => (None, Some(*key)),
            };
            let service = services.entry((place.0.is_none(), place)).or_default();
            if service.name.is_empty() {
                service.name = match owner {
                    Some(owner) => model::escaped(&owner.service.to_string()),
                    None => key.to_string(),
                };
                service.is_service = owner.is_some();
            }
            service.traffic += server.traffic;
            service.servers.push(server);
        }
        Self {
            services: services.into_values().collect(),
            total,
            virtual_servers: now.servers.len(),
            has_rates: before.is_some(),
        }
    }
}

impl ServerTraffic {
    fn between(
        key: VirtualServerKey,
        before: Option<&ServerSample>,
        now: &ServerSample,
        owner: Option<&ServicePortName>,
    ) -> Self {
        let elapsed = |at: fn(&ServerSample) -> Duration| {
            before.map_or(Duration::ZERO, |before| at(now).saturating_sub(at(before)))
        };
        let counters = before.map(|before| &before.counters);
        let mut traffic = Traffic::of(counters, &now.counters, elapsed(|sample| sample.at));
        let elapsed = elapsed(|sample| sample.real_servers_at);
        let mut real_servers = Vec::with_capacity(now.real_servers.len());
        for (key, real) in &now.real_servers {
            let before = before.and_then(|before| before.real_servers.get(key));
            let endpoint = EndpointTraffic::between(*key, before, real, elapsed);
            traffic.active += endpoint.traffic.active;
            traffic.inactive += endpoint.traffic.inactive;
            traffic.endpoints += 1;
            traffic.draining += endpoint.traffic.draining;
            real_servers.push(endpoint);
        }
        Self {
            key,
            port: owner.map_or_else(String::new, |owner| model::escaped(&owner.port)),
            traffic,
            real_servers,
        }
    }
}

impl EndpointTraffic {
    fn between(
        key: RealServerKey,
        before: Option<&RealSample>,
        now: &RealSample,
        elapsed: Duration,
    ) -> Self {
        let before = before.map(|before| &before.counters);
        let traffic = Traffic {
            active: u64::from(now.connections.active),
            inactive: u64::from(now.connections.inactive),
            endpoints: 1,
            draining: u64::from(now.weight == 0),
            ..Traffic::of(before, &now.counters, elapsed)
        };
        Self {
            key,
            weight: now.weight,
            traffic,
        }
    }
}
