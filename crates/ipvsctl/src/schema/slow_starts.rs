//! Fields of kube-ipvsd's `/slowstarts`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ipvs::RealServerKey;
use model::policy::{RampStep, Ramps};
use serde::Deserialize;

use super::owners::DaemonKey;

/// Real servers in a slow start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSlowStarts {
    slow_starts: Vec<DaemonSlowStart>,
}

/// A real server in a slow start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSlowStart {
    key: DaemonKey,
    virtual_server: String,
    real_server: String,
    step: u8,
    /// Current weight.
    pub weight: u32,
    /// Weight at the end.
    pub full_weight: u32,
    /// Time of the end, RFC 3339.
    pub ends: String,
}

impl DaemonSlowStarts {
    /// Returns the steps, from which the weights follow. Entries that this version does not know
    /// are ignored.
    #[must_use]
    pub fn ramps(&self) -> Ramps {
        let mut ramps = Ramps::new();
        for slow_start in &self.slow_starts {
            let real: Option<SocketAddr> = slow_start.real_server.parse().ok();
            let step = RampStep::new(slow_start.step);
            if let (Some(key), Some(real), Some(step)) = (slow_start.key.known(), real, step) {
                let real = RealServerKey {
                    address: real.ip(),
                    port: real.port(),
                };
                ramps.entry(key).or_default().insert(real, step);
            }
        }
        ramps
    }

    /// Returns the slow starts by virtual server and real server.
    #[must_use]
    pub fn by_name(self) -> BTreeMap<(String, String), DaemonSlowStart> {
        let slow_starts = self.slow_starts.into_iter();
        slow_starts
            .map(|found| {
                let key = (found.virtual_server.clone(), found.real_server.clone());
                (key, found)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_read() {
        let page = r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "SlowStarts", "slowStarts": [
            {"key": {"address": "10.96.0.1", "port": 80, "protocol": "TCP"},
             "virtualServer": "10.96.0.1:80/TCP", "realServer": "10.1.0.3:8080", "service": null,
             "since": "2026-01-02T03:04:05Z", "ends": "2026-01-02T03:05:05Z",
             "step": 3, "weight": 6, "fullWeight": 20},
            {"key": {"fwmark": 1, "family": "IPv6"}, "virtualServer": "FWM 1 IPv6",
             "realServer": "[fd00::3]:0", "since": "", "ends": "", "step": 10, "weight": 10,
             "fullWeight": 10}]}"#;
        let found: DaemonSlowStarts = serde_json::from_str(page).expect("a page");
        let ramps: Vec<String> = (found.ramps().iter())
            .flat_map(|(server, steps)| {
                (steps.iter()).map(move |(real, step)| format!("{server} {real} {}", step.number()))
            })
            .collect();
        assert_eq!(ramps, ["10.96.0.1:80/TCP 10.1.0.3:8080 3"]);
        let names = found.by_name();
        let key = ("10.96.0.1:80/TCP".to_owned(), "10.1.0.3:8080".to_owned());
        assert_eq!((names.len(), names[&key].weight), (2, 6));
    }
}
