//! metav1.Duration: the format of Go's `time.ParseDuration` and `Duration.String`.

use std::fmt::Write as _;
use std::time::Duration;

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Parses a duration as Kubernetes writes it: numbers with units, such as `30s`, `1m0s`, `1.5h`,
/// `100ms`, or `0`. Returns `None` if the text is not a duration or is negative.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == &rest[..end])?;
        nanoseconds += number * factor;
        rest = &rest[end..];
    }
    // Go's durations end at 2^63 ns.
    (nanoseconds < 9.2e18).then(|| Duration::from_nanos(nanoseconds.round() as u64))
}

/// Writes a duration as Go does: `24h0m0s`, `1m30s`, `1.5s`, `100ms`, `0s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 && nanoseconds > 0 {
        let (unit, size) = match nanoseconds {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{}{unit}", f64::from(nanoseconds) / f64::from(size));
    }
    let mut text = String::new();
    if seconds >= 3600 {
        let _ = write!(text, "{}h", seconds / 3600);
    }
    if seconds >= 60 {
        let _ = write!(text, "{}m", seconds / 60 % 60);
    }
    let _ = write!(text, "{}", seconds % 60);
    if nanoseconds > 0 {
        let fraction = format!(".{nanoseconds:09}");
        text.push_str(fraction.trim_end_matches('0'));
    }
    text + "s"
}
