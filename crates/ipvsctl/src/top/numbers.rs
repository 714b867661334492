//! Short numbers for columns.

/// Factors of 1000, with their prefixes.
const DECIMAL: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];

/// Factors of 1024, with their prefixes.
const BINARY: [(f64, &str); 4] = [
    (1_099_511_627_776.0, "Ti"),
    (1_073_741_824.0, "Gi"),
    (1_048_576.0, "Mi"),
    (1024.0, "Ki"),
];

/// Returns a rate with about three digits: `0`, `0.5`, `12`, `1.2k`, `345k`.
#[must_use]
pub fn rate(value: f64) -> String {
    short(value, &DECIMAL)
}

/// Returns a rate of bytes with about three digits: `0`, `12`, `1.2Ki`, `345Mi`.
#[must_use]
pub fn bytes(value: f64) -> String {
    short(value, &BINARY)
}

fn short(value: f64, factors: &[(f64, &str)]) -> String {
    if value <= 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    // 999.6 would be printed as 1000.
    let factor = (factors.iter()).find(|(factor, _)| value >= *factor * 0.9995);
    let (value, prefix) = factor.map_or((value, ""), |(factor, prefix)| (value / factor, *prefix));
    if value < 9.95 {
        let digits = format!("{value:.1}");
        let digits = digits.strip_suffix(".0").unwrap_or(&digits);
        // A rate is never shown as zero while there is traffic.
        let digits = if digits == "0" { "<0.1" } else { digits };
        format!("{digits}{prefix}")
    } else {
        format!("{value:.0}{prefix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_few_digits() {
        for (value, text) in [
            (0.0, "0"),
            (-1.0, "0"),
            (f64::NAN, "0"),
            (0.01, "<0.1"),
            (0.5, "0.5"),
            (3.0, "3"),
            (9.96, "10"),
            (12.3, "12"),
            (999.7, "1k"),
            (1234.0, "1.2k"),
            (345_678.0, "346k"),
            (2e15, "2000T"),
        ] {
            assert_eq!(rate(value), text, "{value}");
        }
        assert_eq!(bytes(1536.0), "1.5Ki");
        assert_eq!(bytes(10.0 * 1_048_576.0), "10Mi");
    }
}
