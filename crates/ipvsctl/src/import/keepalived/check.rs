//! Health checks of real servers.
//!
//! Defaults are those of keepalived 2.2 (`keepalived/check/check_api.c`, `check_http.c`,
//! `check_data.c`). A VirtualServer has one check for all of its real servers.

use std::borrow::Cow;
use std::time::Duration;

use ipvs::{Protocol, RealServer};
use model::duration::{format_duration, parse_duration};
use model::policy::{Given, PolicyField, ServicePolicy};

use super::Statement;
use crate::import::Imported;

/// Keywords of checks with the types of ours that probe the same way.
const KINDS: [(&str, Option<&str>); 10] = [
    ("TCP_CHECK", Some("tcp")),
    ("HTTP_GET", Some("http")),
    ("SSL_GET", Some("https")),
    ("BFD_CHECK", None),
    ("DNS_CHECK", None),
    ("FILE_CHECK", None),
    ("MISC_CHECK", None),
    ("PING_CHECK", None),
    ("SMTP_CHECK", None),
    ("UDP_CHECK", None),
];

/// Interval without `delay_loop`, `KEEPALIVED_DEFAULT_DELAY`.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// Timeout without `connect_timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of probes after a failed one without `retry`.
const DEFAULT_RETRY: u32 = 1;

/// Greatest `fall` of a check.
const MAX_FALL: u32 = 10;

/// Status codes without `status_code`.
const DEFAULT_STATUS: &str = "200-299";

/// Settings of a check. Those of an inner block replace those of the blocks around it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings<'a> {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    retry: Option<u32>,
    host: Option<&'a str>,
    inhibit: bool,
}

/// Returns true if `keyword` begins the block of a check.
pub(super) fn is_check(keyword: &str) -> bool {
    KINDS.iter().any(|(kind, _)| *kind == keyword)
}

impl<'a> Settings<'a> {
    /// Reads `line` if it is a setting of a check. Returns false if it is not.
    ///
    /// # Errors
    ///
    /// The problem of its value.
    pub(super) fn read(
        &mut self,
        line: &'a Statement,
        found: &mut Imported,
    ) -> Result<bool, String> {
        match line.keyword() {
            "delay_loop" => self.interval = Some(seconds(line)?),
            "connect_timeout" => self.timeout = Some(seconds(line)?),
            "retry" | "nb_get_retry" => self.retry = Some(super::server::number(line)?),
            "virtualhost" => self.host = Some(line.value().ok_or("the value is missing")?),
            "inhibit_on_failure" => self.inhibit = true,
            "delay_before_retry" => {
                let text = "delay_before_retry is not imported: a failed probe is repeated after \
                            the interval of the check";
                found.note(&line.file, line.line, text);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Parses a number of seconds.
fn seconds(line: &Statement) -> Result<Duration, String> {
    let text = line.value().ok_or("the number is missing")?;
    parse_duration(&format!("{text}s")).ok_or_else(|| format!("`{text}` is no number of seconds"))
}

/// Returns the check of a real server as `healthCheck` holds it; `None` if it has no check or the
/// check has no equivalent, which is noted. `settings` are those of the real server.
pub(super) fn of_real_server<'a>(
    statement: &'a Statement,
    real: &RealServer,
    protocol: Protocol,
    settings: Settings<'a>,
    found: &mut Imported,
) -> Option<String> {
    let mut check = None;
    let checks = (statement.block.iter()).filter(|line| is_check(line.keyword()));
    for (index, block) in checks.enumerate() {
        let read = match index {
            0 => of_block(block, real, protocol, settings, found).map(Some),
            _ => Err("a VirtualServer has one check; none is imported".to_owned()),
        };
        check = read.unwrap_or_else(|problem| {
            let text = format!("{} is not imported: {problem}", block.keyword());
            found.note(&block.file, block.line, &text);
            None
        });
    }
    check
}

fn of_block<'a>(
    block: &'a Statement,
    real: &RealServer,
    protocol: Protocol,
    mut settings: Settings<'a>,
    found: &mut Imported,
) -> Result<String, String> {
    let kind = KINDS.iter().find(|(kind, _)| *kind == block.keyword());
    let Some(kind) = kind.and_then(|(_, kind)| *kind) else {
        return Err("kube-ipvs has no such health check".to_owned());
    };
    let is_http = kind != "tcp";
    let mut port = None;
    let mut url = None;
    for line in &block.block {
        if settings.read(line, found)? {
            continue;
        }
        match line.keyword() {
            "connect_port" => port = Some(super::server::number(line)?),
            "connect_ip" => {
                let address = line.value().and_then(|text| text.parse().ok());
                if address != Some(real.key.address) {
                    return Err("connect_ip is not the address of the real server".to_owned());
                }
            }
            "url" if is_http && url.is_none() => url = Some(line),
            "url" if is_http => {
                let text = "url is not imported: only the first one is requested";
                found.note(&line.file, line.line, text);
            }
            _ => note_unknown(line, found),
        }
    }
    // A probe uses TCP, and the real server of another protocol has no port of TCP by itself.
    let own = (protocol != Protocol::Tcp).then_some(u32::from(real.key.port));
    let port = port.or(own.filter(|port| *port > 0));
    if port.is_none() && real.key.port == 0 {
        return Err("the real server has no port: set connect_port".to_owned());
    }
    let interval = settings.interval.unwrap_or(DEFAULT_INTERVAL);
    let timeout = settings.timeout.unwrap_or(DEFAULT_TIMEOUT).min(interval);
    let fall = (settings.retry.unwrap_or(DEFAULT_RETRY)).saturating_add(1);
    let mut pairs: Vec<(&str, String)> = vec![
        ("type", kind.to_owned()),
        ("interval", format_duration(interval)),
        ("timeout", format_duration(timeout)),
        // keepalived uses a server again after one success.
        ("rise", "1".to_owned()),
        ("fall", fall.min(MAX_FALL).to_string()),
        // keepalived removes every real server that fails.
        ("panicThreshold", "100".to_owned()),
    ];
    let on_failure = match settings.inhibit {
        true => "quiesce",
        false => "remove",
    };
    pairs.push(("onFailure", on_failure.to_owned()));
    pairs.extend(port.map(|port| ("port", port.to_string())));
    if is_http {
        let url = url.ok_or("it has no url")?;
        request(url, &mut settings, &mut pairs, found)?;
        pairs.extend(settings.host.map(|host| ("host", host.to_owned())));
    }
    let pairs = pairs.into_iter();
    let pairs = pairs.map(|(key, value)| (Cow::from(key), Cow::from(value)));
    let mut policy = ServicePolicy::default();
    policy.set(PolicyField::HealthCheck, &Given::Map(pairs.collect()))?;
    if fall > MAX_FALL {
        let text = format!("retry is reduced to {}", MAX_FALL - 1);
        found.note(&block.file, block.line, &text);
    }
    (policy.text(PolicyField::HealthCheck)).ok_or_else(|| "it is empty".to_owned())
}

/// Reads the block `url`.
fn request<'a>(
    url: &'a Statement,
    settings: &mut Settings<'a>,
    pairs: &mut Vec<(&str, String)>,
    found: &mut Imported,
) -> Result<(), String> {
    let mut status = DEFAULT_STATUS;
    let mut path = None;
    for line in &url.block {
        match line.keyword() {
            "path" => path = line.value(),
            "virtualhost" => settings.host = line.value().or(settings.host),
            "status_code" => match line.words.as_slice() {
                [_, only] => status = only,
                _ => return Err("status_code needs one number or range".to_owned()),
            },
            "digest" => {
                let text = "digest is not imported: the status of the answer is read";
                found.note(&line.file, line.line, text);
            }
            _ => note_unknown(line, found),
        }
    }
    pairs.push(("path", path.ok_or("the url has no path")?.to_owned()));
    pairs.push(("status", status.to_owned()));
    Ok(())
}

fn note_unknown(line: &Statement, found: &mut Imported) {
    let text = format!("{} has no equivalent and is not imported", line.keyword());
    found.note(&line.file, line.line, &text);
}

/// Returns the check that all real servers have. Different checks are noted, and not imported.
pub(super) fn shared(
    statement: &Statement,
    real_servers: &[RealServer],
    checks: &[Option<String>],
    found: &mut Imported,
) -> Option<String> {
    let first = checks.iter().flatten().next()?;
    let problem = real_servers
        .iter()
        .zip(checks)
        .find_map(|(real, check)| match check {
            None => Some(format!("{} has none", real.key)),
            Some(check) if check != first => Some(format!("{} has another one", real.key)),
            Some(_) => None,
        });
    let Some(problem) = problem else {
        return Some(first.clone());
    };
    let text = format!(
        "no health check is imported: a VirtualServer has one check for all real servers, and \
         {problem}"
    );
    found.note(&statement.file, statement.line, &text);
    None
}
