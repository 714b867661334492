//! Checks that a value is what its field holds, and converts its text to types.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde_json::Value;

use super::table::{self, Kind};
use super::{format_duration, parse_duration};
use crate::convert::{ip, parse_cidr};

/// `IP_VS_SCHEDNAME_MAXLEN` with its closing zero, include/uapi/linux/ip_vs.h.
const SCHEDULER_NAME_MAX: usize = 15;
/// `IFNAMSIZ` with its closing zero, include/uapi/linux/if.h.
const INTERFACE_NAME_MAX: usize = 15;

/// A problem inside a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Behind the field's path: empty, `[0]` or `.Name`.
    pub(super) inner: String,
    /// The problem.
    pub(super) message: String,
    /// True if kube-proxy accepts it silently.
    pub(super) harmless: bool,
}

/// Everything that is wrong with `value` as a value of this kind.
pub(super) fn problems(kind: Kind, value: &Value) -> Vec<Problem> {
    match kind {
        Kind::Networks | Kind::NodePorts | Kind::Words(_) | Kind::Ports => of_list(kind, value),
        Kind::Gates => of_gates(value),
        Kind::KernelSeconds => match of_one(kind, value) {
            Ok(()) => of_kernel_seconds(value.as_str().unwrap_or_default()),
            Err(message) => wrong("", Some(message)),
        }
        .into_iter()
        .collect(),
        _ => wrong("", of_one(kind, value).err()).into_iter().collect(),
    }
}

fn wrong(inner: &str, message: Option<String>) -> Option<Problem> {
    message.map(|message| Problem {
        inner: inner.to_owned(),
        message,
        harmless: false,
    })
}

fn of_one(kind: Kind, value: &Value) -> Result<(), String> {
    let must = |what: &str| Err(format!("must be {what}, not {}", describe(value)));
    let text = value.as_str();
    match kind {
        Kind::Any => Ok(()),
        Kind::Bool if value.is_boolean() => Ok(()),
        Kind::Bool => must("true or false"),
        Kind::Number if value.is_number() => Ok(()),
        Kind::Number => must("a number"),
        Kind::Whole(low, high) => match value.as_i64() {
            Some(number) if (low..=high).contains(&number) => Ok(()),
            Some(number) if number < low && table::is_open(high) => {
                Err(format!("must be {low} or more, not {number}"))
            }
            Some(number) => Err(format!("must be from {low} to {high}, not {number}")),
            None => must("a whole number"),
        },
        _ => match text {
            Some(text) => of_text(kind, text),
            None if is_duration(kind) => must("a duration such as 30s"),
            None => must("text"),
        },
    }
}

fn of_text(kind: Kind, text: &str) -> Result<(), String> {
    let (fit, what) = match kind {
        // Nothing said, but a duration says so by "0s".
        _ if text.is_empty() && !is_duration(kind) => return Ok(()),
        Kind::Scheduler => (
            is_name(text, SCHEDULER_NAME_MAX),
            "no scheduler's name: at most 15 characters, no space".to_owned(),
        ),
        Kind::Interface => (
            is_name(text, INTERFACE_NAME_MAX) && !text.contains(['/', ':']),
            "no interface's name: at most 15 characters, no space, no slash, no colon".to_owned(),
        ),
        Kind::Duration | Kind::KernelSeconds => (
            parse_duration(text).is_some(),
            "no duration such as 30s or 1m0s, zero or above".to_owned(),
        ),
        Kind::Address => (ip(text).as_result().is_ok(), "no address".to_owned()),
        Kind::AddressPort(port) => (
            text == "0" || address_port(text, port).is_some(),
            format!("no address with a port such as 0.0.0.0:{port}"),
        ),
        Kind::NetworkPair => return of_pair(text),
        Kind::Choice(words) => (
            words.contains(&text),
            format!("not supported, only {}", words.join(", ")),
        ),
        _ => return Ok(()),
    };
    match fit {
        true => Ok(()),
        false => Err(format!("{text:?} is {what}")),
    }
}

fn is_duration(kind: Kind) -> bool {
    matches!(kind, Kind::Duration | Kind::KernelSeconds)
}

/// The longest timeout that every kernel takes, `INT_MAX / HZ` where a second has 1000 ticks: `ip_vs_set_timeout` in
/// net/netfilter/ipvs/ip_vs_ctl.c, and `proc_dointvec_jiffies` for the settings of connection tracking.
const KERNEL_SECONDS_MAX: Duration = Duration::from_secs(i32::MAX as u64 / 1000);

/// Returns the timeout that the kernel is given.
pub(super) fn kernel_seconds(wanted: Duration) -> Duration {
    Duration::from_secs(wanted.min(KERNEL_SECONDS_MAX).as_secs())
}

/// Returns what is odd about a timeout of the kernel: kube-proxy cuts off a fraction, and goes on if the kernel refuses.
fn of_kernel_seconds(text: &str) -> Option<Problem> {
    let wanted = parse_duration(text)?;
    let held = kernel_seconds(wanted);
    let message = match (wanted > KERNEL_SECONDS_MAX, held.is_zero()) {
        _ if wanted == held => return None,
        (true, _) => format!(
            "is set to {}: a kernel may take no more, and refuse all timeouts at once",
            format_duration(held)
        ),
        (false, true) => {
            format!("leaves the kernel's setting: {text} is below a second, its unit")
        }
        (false, false) => format!(
            "is set to {}: the kernel counts whole seconds",
            format_duration(held)
        ),
    };
    Some(harmless(String::new(), message))
}

fn harmless(inner: String, message: String) -> Problem {
    Problem {
        inner,
        message,
        harmless: true,
    }
}

/// Returns true if `text` can be a name in the kernel and on the command lines of tools.
fn is_name(text: &str, longest: usize) -> bool {
    text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn of_pair(text: &str) -> Result<(), String> {
    let networks = network_pair(text).map_err(|part| not_a_network(&part))?;
    match networks[..] {
        [] | [_] => Ok(()),
        [first, second] if first.is_ipv4() != second.is_ipv4() => Ok(()),
        [_, _] => Err(format!("{text:?} has two networks of one family")),
        _ => Err(format!("{text:?} has more than one network of each family")),
    }
}

fn not_a_network(text: &str) -> String {
    format!("{text:?} is no network such as 10.0.0.0/8")
}

fn of_list(kind: Kind, value: &Value) -> Vec<Problem> {
    let Some(items) = value.as_array() else {
        let message = format!("must be a list, not {}", describe(value));
        return wrong("", Some(message)).into_iter().collect();
    };
    let mut problems = Vec::new();
    let mut seen = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let inner = format!("[{index}]");
        match of_item(kind, item) {
            Err(message) => problems.extend(wrong(&inner, Some(message))),
            Ok(word) if seen.contains(&word) => {
                let message = format!("{} is given twice", describe(item));
                problems.push(harmless(inner, message));
            }
            Ok(word) => {
                if kind == Kind::NodePorts && word == LOCALHOST {
                    let message = "adds nothing: node ports are never served at loopback addresses";
                    problems.push(harmless(inner, format!("{word:?} {message}")));
                }
                seen.push(word);
            }
        }
    }
    problems
}

/// The item in the form in which equal ones are equal.
fn of_item(kind: Kind, item: &Value) -> Result<String, String> {
    if kind == Kind::Ports {
        return match item.as_u64() {
            Some(port @ 1..=65535) => Ok(port.to_string()),
            _ => Err(format!(
                "must be a port from 1 to 65535, not {}",
                describe(item)
            )),
        };
    }
    let Some(text) = item.as_str() else {
        return Err(format!("must be text, not {}", describe(item)));
    };
    match kind {
        Kind::NodePorts if [ALL, PRIMARY, LOCALHOST].contains(&text) => Ok(text.to_owned()),
        Kind::Words(words) if words.contains(&text) => Ok(text.to_owned()),
        Kind::Words(words) => Err(format!(
            "{text:?} is not supported, only {}",
            words.join(", ")
        )),
        _ => match parse_cidr(text.trim()) {
            Some(network) => Ok(network.to_string()),
            None => Err(not_a_network(text)),
        },
    }
}

fn of_gates(value: &Value) -> Vec<Problem> {
    let Some(gates) = value.as_object() else {
        let message = format!("must be names with true or false, not {}", describe(value));
        return wrong("", Some(message)).into_iter().collect();
    };
    (gates.iter())
        .filter_map(|(name, gate)| wrong(&format!(".{name}"), of_one(Kind::Bool, gate).err()))
        .collect()
}

/// Reads a word of YAML 1.1 for true or false, as Go's YAML and with it Kubernetes does.
pub(super) fn boolean_word(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A value in a message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        value => value.to_string(),
    }
}

/// `nodePortAddresses: [primary]`: the node's own addresses.
pub(super) const PRIMARY: &str = "primary";
/// All addresses of both families.
const ALL: &str = "all";
/// Loopback addresses.
const LOCALHOST: &str = "localhost";

/// The networks of one item of `nodePortAddresses`; none for [`PRIMARY`].
pub(super) fn node_port_networks(item: &str) -> Vec<IpNetwork> {
    let texts: &[&str] = match item {
        ALL => &["0.0.0.0/0", "::/0"],
        LOCALHOST => &["127.0.0.0/8", "::1/128"],
        item => &[item.trim()],
    };
    texts.iter().filter_map(|text| parse_cidr(text)).collect()
}

/// The networks of `clusterCIDR`, or the part that is none.
pub(super) fn network_pair(text: &str) -> Result<Vec<IpNetwork>, String> {
    (text.split(',').map(str::trim))
        .filter(|_| !text.is_empty())
        .map(|part| parse_cidr(part).ok_or_else(|| part.to_owned()))
        .collect()
}

/// `address:port`, `[address]:port`, or an address to which `port` is added (`AppendPortIfNeeded`).
pub(super) fn address_port(text: &str, port: u16) -> Option<SocketAddr> {
    if let Some(address) = address(text) {
        return Some(SocketAddr::new(address, port));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    // Without brackets an IPv6 address and its port are not to be told apart.
    let clear = host.starts_with('[') || !host.contains(':');
    let address = address(host).filter(|_| clear)?;
    Some(SocketAddr::new(address, port))
}

fn address(text: &str) -> Option<IpAddr> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    ip(inner.unwrap_or(text)).as_result().ok().copied()
}

/// A duration in a checked file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct GoDuration(pub(super) Duration);

impl TryFrom<String> for GoDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no duration"))
    }
}

/// A network in a checked file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Network(pub(super) IpNetwork);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_cidr(text.trim())
            .map(Self)
            .ok_or_else(|| not_a_network(&text))
    }
}
