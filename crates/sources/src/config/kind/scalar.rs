//! Booleans, numbers and durations.

use std::collections::BTreeMap;
use std::time::Duration;

use model::config::{KERNEL_TIMEOUT_MAX, TcpTimeout};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Kind, Reading, Syntax, form, must_be};
use crate::config::{format_duration, parse_duration};

/// `true` or `false`.
pub(crate) const BOOL: Kind<bool> = Kind {
    form: || form("true or false", "BOOL", Syntax::Bool),
    read: |given, reading| reading.keep("", boolean(given, reading.by_flag)),
    write: |value| json!(value),
};

/// Reads a boolean. In a file Go's YAML, and with it Kubernetes, accepts the words of YAML 1.1.
fn boolean(given: &Value, by_flag: bool) -> Result<bool, String> {
    match given {
        Value::Bool(value) => return Ok(*value),
        Value::String(word) if !by_flag => match word.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Ok(true),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Ok(false),
            _ => {}
        },
        _ => {}
    }
    Err(must_be("true or false", given))
}

/// Names with `true` or `false`.
pub(crate) const fn gates(
    write: fn(&BTreeMap<String, bool>) -> Value,
) -> Kind<BTreeMap<String, bool>> {
    Kind {
        form: || form("names with true or false", "NAME=BOOL,…", Syntax::Gates),
        read: read_gates,
        write,
    }
}

fn read_gates(given: &Value, reading: &mut Reading) -> Option<BTreeMap<String, bool>> {
    let what = "names with true or false";
    let gates = given.as_object().ok_or_else(|| must_be(what, given));
    let gates = reading.keep("", gates)?.iter().filter_map(|(name, gate)| {
        let gate = boolean(gate, reading.by_flag);
        Some((name.clone(), reading.keep(format!(".{name}"), gate)?))
    });
    Some(gates.collect())
}

/// A whole number within bounds.
pub(crate) const fn whole<const LOW: i64, const HIGH: i64, T>() -> Kind<T>
where
    T: Serialize + TryFrom<i64>,
{
    Kind {
        form: || {
            let to = Some(format!(" to {HIGH}")).filter(|_| HIGH != OPEN);
            let text = format!("whole number from {LOW}{}", to.unwrap_or_default());
            form(text, "NUMBER", Syntax::Number)
        },
        read: |given, reading| {
            let message = match given.as_i64() {
                Some(number) if (LOW..=HIGH).contains(&number) => return T::try_from(number).ok(),
                Some(number) if number < LOW && HIGH == OPEN => {
                    format!("must be {LOW} or more, not {number}")
                }
                Some(number) => format!("must be from {LOW} to {HIGH}, not {number}"),
                None => must_be("a whole number", given),
            };
            reading.keep("", Err(message))
        },
        write: |value| json!(value),
    }
}

/// A length of messages of the synchronisation, within the bounds in which every kernel and every
/// role uses it unchanged: `start_sync_thread`, net/netfilter/ipvs/ip_vs_sync.c. 0 is the default.
pub(crate) const SYNC_LENGTH: Kind<u16> = Kind {
    form: || {
        form(
            "0, or whole number from 1024 to 65487",
            "NUMBER",
            Syntax::Number,
        )
    },
    read: |given, reading| match given.as_i64() {
        Some(1..=1023) => {
            let message = format!("must be 0 or from 1024 to 65487, not {given}");
            reading.keep("", Err(message))
        }
        _ => (whole::<0, 65_487, u16>().read)(given, reading),
    },
    ..whole::<0, 65_487, u16>()
};

/// Upper bound of numbers without one: kube-proxy's numbers have 32 bits.
const OPEN: i64 = i32::MAX as i64;

/// A whole number without an upper bound.
pub(crate) const fn at_least<const LOW: i64, T: Serialize + TryFrom<i64>>() -> Kind<T> {
    whole::<LOW, OPEN, T>()
}

/// A number from 0. A flag below 0, which asks for fewer log lines than there are levels for, is 0.
pub(crate) const VERBOSITY: Kind<u32> = Kind {
    read: |given, reading| {
        if reading.by_flag && given.as_i64().is_some_and(|number| number < 0) {
            reading.note("", "is negative: 0 is used".to_owned());
            return Some(0);
        }
        (at_least::<0, u32>().read)(given, reading)
    },
    ..at_least::<0, u32>()
};

/// A number. A whole one is written without a fraction.
pub(crate) const NUMBER: Kind<f64> = Kind {
    form: || form("number", "NUMBER", Syntax::Number),
    read: |given, reading| {
        let number = given.as_f64().ok_or_else(|| must_be("a number", given));
        reading.keep("", number)
    },
    write: |value| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole and within bounds"
        )]
        match value.fract() == 0.0 && value.abs() < 1e15 {
            true => json!(*value as i64),
            false => json!(value),
        }
    },
};

/// A duration in Go's form.
pub(crate) const DURATION: Kind<Duration> = Kind {
    form: || form("duration", "DURATION", Syntax::Text),
    read: |given, reading| {
        let what = "is no duration such as 30s or 1m0s, zero or above";
        let duration = match given.as_str() {
            Some(text) => parse_duration(text).ok_or_else(|| format!("{text:?} {what}")),
            None => Err(must_be("a duration such as 30s", given)),
        };
        reading.keep("", duration)
    },
    write: |duration| format_duration(*duration).into(),
};

/// A duration that the kernel counts, in whole seconds and up to a limit. kube-proxy accepts others
/// silently: it cuts off a fraction, and continues if the kernel refuses.
pub(crate) const KERNEL_SECONDS: Kind<Duration> = Kind {
    form: || form("duration, whole seconds", "DURATION", Syntax::Text),
    read: |given, reading| {
        let wanted = (DURATION.read)(given, reading)?;
        Some(kernel_seconds(given, wanted, reading))
    },
    ..DURATION
};

/// [`KERNEL_SECONDS`], or a word.
pub(crate) const TCP_TIMEOUT: Kind<TcpTimeout> = Kind {
    form: || {
        form(
            format!("duration, whole seconds, or `{MATCH_KEEPALIVE}`"),
            "DURATION",
            Syntax::Text,
        )
    },
    read: |given, reading| {
        let message = match given.as_str() {
            Some(MATCH_KEEPALIVE) => return Some(TcpTimeout::MatchKeepalive),
            Some(text) if parse_duration(text).is_some() => {
                return (KERNEL_SECONDS.read)(given, reading).map(TcpTimeout::Fixed);
            }
            Some(text) => format!(
                "{text:?} is neither {MATCH_KEEPALIVE} nor a duration such as 30s, zero or above"
            ),
            None => must_be(
                &format!("{MATCH_KEEPALIVE} or a duration such as 30s"),
                given,
            ),
        };
        reading.keep("", Err(message))
    },
    write: |timeout| match timeout {
        TcpTimeout::Fixed(duration) => (KERNEL_SECONDS.write)(duration),
        TcpTimeout::MatchKeepalive => MATCH_KEEPALIVE.into(),
    },
};

const MATCH_KEEPALIVE: &str = "matchKeepalive";

/// Returns the timeout that the kernel gets, and notes a difference.
fn kernel_seconds(given: &Value, wanted: Duration, reading: &mut Reading) -> Duration {
    let held = Duration::from_secs(wanted.min(KERNEL_TIMEOUT_MAX).as_secs());
    let is_set = format!("is set to {}", format_duration(held));
    let message = match (wanted > KERNEL_TIMEOUT_MAX, held.is_zero()) {
        _ if wanted == held => return held,
        (true, _) => {
            format!("{is_set}: a kernel may take no more, and refuse all timeouts at once")
        }
        (false, true) => {
            let text = given.as_str().unwrap_or_default();
            format!("leaves the kernel's setting: {text} is below a second, its unit")
        }
        (false, false) => format!("{is_set}: the kernel counts whole seconds"),
    };
    reading.note("", message);
    held
}

/// Anything: it is not checked.
pub(crate) const ANY: Kind<Value> = Kind {
    form: || form("any", "TEXT", Syntax::Text),
    read: |given, _| Some(given.clone()),
    write: Value::clone,
};
