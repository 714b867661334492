//! Prints the measurements as a Markdown table.

use super::measured::{Case, Measured, Spread};

const OURS: &str = "kube-ipvs";
/// Name of the limit of a part.
const LIMIT: &str = "limit";
/// Parts whose limits add up to the limit of everything.
const PARTS: [(&str, &str); 4] = [
    ("write servers", LIMIT),
    ("write sets", LIMIT),
    ("write addresses", LIMIT),
    ("write rules", "iptables-restore"),
];
const WHOLE: &str = "cold sync";

/// Above this number of samples the maximum is an outlier, and the 99th percentile is printed
/// instead.
const MANY: usize = 20;

/// Prints times with their ratios, followed by all other figures.
pub(crate) fn print(measured: &Measured) -> String {
    let mut out = String::from(
        "| operation | size | kube-ipvs | beside | it takes | ratio |\n|---|---|---|---|---|---|\n",
    );
    for case in &measured.cases {
        let key = (case.clone(), OURS.to_owned());
        let Some(ours) = measured.times.get(&key) else {
            continue;
        };
        let others: Vec<_> = measured.others(case, OURS).collect();
        let sum = sum_of_limits(measured, case);
        let sum = sum.iter().map(|times| ("sum of limits", times.as_slice()));
        let mut rows = others.into_iter().chain(sum).peekable();
        if rows.peek().is_none() {
            out += &format!(
                "| {} | {} | {} | | | |\n",
                case.operation,
                case.size,
                times(ours)
            );
        }
        for (who, theirs) in rows {
            out += &format!(
                "| {} | {} | {} | {who} | {} | {} |\n",
                case.operation,
                case.size,
                times(ours),
                times(theirs),
                ratio(ours, theirs)
            );
        }
    }
    out += "\n| operation | size | figure | value |\n|---|---|---|---|\n";
    for case in &measured.cases {
        for (name, (values, unit)) in measured.figures.get(case).into_iter().flatten() {
            let Some(spread) = Spread::of(values.iter().copied()) else {
                continue;
            };
            let value = match spread.min < spread.max {
                true => format!(
                    "{} ({} to {})",
                    short(spread.median),
                    short(spread.min),
                    short(spread.max)
                ),
                false => short(spread.median),
            };
            out += &format!(
                "| {} | {} | {name} | {value} {unit} |\n",
                case.operation, case.size
            );
        }
    }
    out
}

/// Returns the sum of the parts' limits for each run, or none if a part was not measured.
fn sum_of_limits(measured: &Measured, case: &Case) -> Option<Vec<f64>> {
    if case.operation != WHOLE {
        return None;
    }
    let mut sum: Vec<f64> = Vec::new();
    for (part, who) in PARTS {
        let case = Case {
            operation: part.to_owned(),
            size: case.size.clone(),
        };
        let times = measured.times.get(&(case, who.to_owned()))?;
        sum.resize(times.len(), 0.0);
        for (sum, time) in sum.iter_mut().zip(times) {
            *sum += time;
        }
    }
    Some(sum)
}

/// Returns the ratio of the other program's times to ours for each run.
fn ratio(ours: &[f64], theirs: &[f64]) -> String {
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| theirs / ours);
    match Spread::of(ratios) {
        None => String::new(),
        Some(Spread {
            median, min, max, ..
        }) => format!("{median:.2} ({min:.2} to {max:.2})"),
    }
}

fn times(seconds: &[f64]) -> String {
    match Spread::of(seconds.iter().copied()) {
        None => String::new(),
        Some(spread) if spread.count > MANY => {
            format!("{} (99 %: {})", time(spread.median), time(spread.p99))
        }
        Some(spread) => format!(
            "{} ({} to {})",
            time(spread.median),
            time(spread.min),
            time(spread.max)
        ),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.01 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

fn short(value: f64) -> String {
    match value {
        v if v.fract() == 0.0 || v.abs() >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.2}"),
    }
}
