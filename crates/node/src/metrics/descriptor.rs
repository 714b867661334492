//! Description of one metric.

use sources::kube::LATENCY_BUCKETS;

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descriptor {
    /// Exposed name.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Names of the labels, in order. The labels of traffic metrics are configurable.
    pub labels: &'static [&'static str],
    /// Help text.
    pub help: &'static str,
}

/// The types of metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A value that never falls except at a restart.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// Counts of values in buckets.
    Histogram(Buckets),
}

impl Kind {
    /// Returns the name of the type in the exposition format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Upper bounds of a histogram, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buckets {
    /// 1 ms doubling to 16.384 s.
    Sync,
    /// From 250 ms to 5 min, as `network_programming_duration_seconds` of kube-proxy.
    Programming,
    /// From 5 ms to 1 min, as `rest_client_request_duration_seconds` of client-go.
    Requests,
}

impl Buckets {
    /// Returns the bounds without the last one, infinity.
    #[must_use]
    pub fn bounds(self) -> Vec<f64> {
        match self {
            Self::Sync => (0..15).map(|power| 0.001 * f64::from(1 << power)).collect(),
            Self::Programming => [0.25, 0.5]
                .into_iter()
                .chain((1..60).map(f64::from))
                .chain((60..120).step_by(5).map(f64::from))
                .chain((120..=300).step_by(30).map(f64::from))
                .collect(),
            Self::Requests => LATENCY_BUCKETS.into(),
        }
    }
}
