//! Slow start: the weight of an endpoint that begins to get connections grows in steps.

use std::collections::BTreeMap;
use std::time::Duration;

use ipvs::{RealServerKey, VirtualServerKey};

use super::value::{Value, quoted};
use super::{Given, MAX_WEIGHT, ServicePolicy};
use crate::duration::{format_duration, parse_duration};

/// Shortest slow start: the loop makes at most two steps per second.
const SHORTEST: Duration = Duration::from_secs(1);

/// Longest slow start. An endpoint that has a small share for longer is better given a weight.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Time over which the weight of a new endpoint grows: 0, or one second to one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart(Duration);

impl SlowStart {
    /// Returns the time; `None` if slow start is off.
    #[must_use]
    pub fn time(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl Value for SlowStart {
    fn form() -> String {
        "duration such as `30s` or `5m`, `1s` to `1h`; `0` is off".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let text = given.text()?;
        match parse_duration(text) {
            None => Err(format!("{} is no duration such as 30s or 5m", quoted(text))),
            Some(time) if time.is_zero() || (SHORTEST..=LONGEST).contains(&time) => Ok(Self(time)),
            Some(_) => Err(format!(
                "{} is neither 0 nor from {} to {}",
                quoted(text),
                format_duration(SHORTEST),
                format_duration(LONGEST)
            )),
        }
    }

    fn write(&self) -> String {
        format_duration(self.0)
    }
}

/// Returns true if an endpoint's share of new connections follows its weight with `scheduler`, also
/// while the weight grows.
///
/// The other schedulers (`net/netfilter/ipvs/ip_vs_*.c`, Linux 6.12):
/// - `rr`, `lc` and `dh` only distinguish weight 0.
/// - `sh` and `mh` map clients to endpoints; each step would move clients.
/// - `fo` orders the endpoints by weight.
/// - `ovf`, `lblc` and `lblcr` compare the number of connections with the weight.
#[must_use]
pub fn is_gradual(scheduler: &str) -> bool {
    matches!(scheduler, "wrr" | "wlc" | "sed" | "nq" | "twos")
}

/// Step of a slow start: the number of tenths of the full weight, 1 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RampStep(u8);

impl RampStep {
    /// Number of the step with the full weight, which ends the slow start.
    pub const FULL: u8 = 10;

    /// The first step.
    pub const FIRST: Self = Self(1);

    /// Returns the step with this number; `None` unless it is from 1 to 9.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (1..Self::FULL).contains(&number).then_some(Self(number))
    }

    /// Returns the number of the step.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Returns the step of a slow start of `time` after `elapsed`; `None` once it has ended.
    #[must_use]
    pub fn at(elapsed: Duration, time: Duration) -> Option<Self> {
        let steps = u128::from(Self::FULL - 1);
        let done = elapsed.as_nanos() * steps / time.as_nanos().max(1);
        u8::try_from(done + 1).ok().and_then(Self::new)
    }

    /// Returns the time from the start to the end of this step, in a slow start of `time`.
    #[must_use]
    pub fn end(self, time: Duration) -> Duration {
        // Rounded up, so that the step has ended then.
        time * u32::from(self.0) / u32::from(Self::FULL - 1) + Duration::from_nanos(1)
    }

    /// Returns the weight of an endpoint with the weight `full` in this step. Only weight 0 gives 0.
    #[must_use]
    pub fn weight(self, full: u32) -> u32 {
        let part = u64::from(full) * u64::from(self.0) / u64::from(Self::FULL);
        u32::try_from(part).unwrap_or(full).max(full.min(1))
    }
}

/// Real servers in a slow start with their steps, by virtual server. The inner map is never empty.
pub type Ramps = BTreeMap<VirtualServerKey, BTreeMap<RealServerKey, RampStep>>;

impl ServicePolicy {
    /// Returns the factor by which the weights of endpoints are multiplied: with slow start ten, so
    /// that its steps differ, or less if a weight could exceed [`MAX_WEIGHT`].
    ///
    /// The factor depends only on the policy, and changes no share. So neither the start nor the end
    /// of a slow start changes the weight of another endpoint.
    #[must_use]
    pub fn weight_scale(&self, scheduler: &str) -> u32 {
        if self.slow_start.and_then(SlowStart::time).is_none() || !is_gradual(scheduler) {
            return 1;
        }
        let weight = (self.weights.as_ref()).map_or(1, |weights| weights.greatest().max(1));
        let factor = (self.locality).map_or(1, |locality| locality.greatest().max(1));
        (MAX_WEIGHT / (weight * factor)).clamp(1, u32::from(RampStep::FULL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyField;

    #[test]
    fn the_time_is_0_or_a_second_to_an_hour() {
        let read = |text: &str| SlowStart::read(&Given::from(text)).map(SlowStart::time);
        assert_eq!(read("0"), Ok(None));
        assert_eq!(read("1s"), Ok(Some(SHORTEST)));
        assert_eq!(read("1h"), Ok(Some(LONGEST)));
        for text in ["500ms", "1h1ms", "10", "-1s", ""] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    /// The steps end at ninths of the time, and nothing but the weight 0 becomes 0.
    #[test]
    fn the_weight_grows_in_ten_steps() {
        let time = Duration::from_secs(9);
        let step = |milliseconds| RampStep::at(Duration::from_millis(milliseconds), time);
        let numbers = [0, 999, 1_000, 8_999, 9_000, u64::MAX].map(step);
        let numbers = numbers.map(|step| step.map(RampStep::number));
        assert_eq!(numbers, [Some(1), Some(1), Some(2), Some(9), None, None]);
        for time in [SHORTEST, Duration::from_secs(7), LONGEST] {
            let mut step = Some(RampStep::FIRST);
            for number in 1..RampStep::FULL {
                let now = step.expect("a step");
                assert_eq!(now.number(), number);
                step = RampStep::at(now.end(time), time);
            }
            assert_eq!(step, None);
        }
        let weights = |full| [1, 3, 9].map(|number| RampStep(number).weight(full));
        assert_eq!(weights(10), [1, 3, 9]);
        assert_eq!(weights(256), [25, 76, 230]);
        assert_eq!(weights(2), [1, 1, 1]);
        assert_eq!(weights(0), [0, 0, 0]);
    }

    #[test]
    fn the_scale_leaves_room_for_steps_and_depends_on_the_policy_only() {
        let scale = |scheduler: &str, fields: &[(PolicyField, &str)]| {
            let mut policy = ServicePolicy::default();
            for (field, value) in fields {
                policy.set(*field, &Given::from(*value)).expect("a value");
            }
            policy.weight_scale(scheduler)
        };
        let (time, weights) = (PolicyField::SlowStart, PolicyField::Weights);
        let locality = PolicyField::Locality;
        let on = (time, "30s");
        assert_eq!(scale("wrr", &[]), 1);
        assert_eq!(scale("wrr", &[(time, "0")]), 1);
        assert_eq!(scale("wrr", &[on]), 10);
        assert_eq!(scale("rr", &[on]), 1);
        assert_eq!(scale("wlc", &[on, (weights, "zone/a=25, default=0")]), 10);
        assert_eq!(scale("wlc", &[on, (weights, "zone/a=100")]), 2);
        assert_eq!(scale("wlc", &[on, (weights, "zone/a=256")]), 1);
        assert_eq!(
            scale("wlc", &[on, (weights, "zone/a=5"), (locality, "node=10")]),
            5
        );
        assert_eq!(
            scale(
                "wlc",
                &[on, (weights, "default=256"), (locality, "node=256")]
            ),
            1
        );
        assert_eq!(
            scale("wlc", &[on, (locality, "node=0, zone=0, other=0")]),
            10
        );
    }
}
