//! Prints and parses the section `# timeouts`.

use std::time::Duration;

use ipvs::Timeouts;

use super::{TextError, at};

pub(super) fn print(timeouts: Timeouts) -> Vec<String> {
    if timeouts == Timeouts::default() {
        return Vec::new();
    }
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    let [tcp, tcp_fin, udp] = [tcp, tcp_fin, udp].map(|timeout| timeout.as_secs());
    vec![format!("--set {tcp} {tcp_fin} {udp}")]
}

pub(super) fn parse(lines: &[(usize, &str)]) -> Result<Timeouts, TextError> {
    let mut timeouts = Timeouts::default();
    for (line, text) in lines {
        timeouts = parse_line(text).ok_or_else(|| {
            at(*line)(format!(
                "`{text}` is not `--set TCP TCPFIN UDP`, in seconds"
            ))
        })?;
    }
    Ok(timeouts)
}

fn parse_line(text: &str) -> Option<Timeouts> {
    let seconds: Vec<Duration> = (text.strip_prefix("--set ")?.split_ascii_whitespace())
        .map(|number| number.parse().ok().map(Duration::from_secs))
        .collect::<Option<_>>()?;
    match seconds[..] {
        [tcp, tcp_fin, udp] => Some(Timeouts { tcp, tcp_fin, udp }),
        _ => None,
    }
}
