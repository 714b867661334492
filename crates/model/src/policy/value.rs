//! Values of a policy's fields.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipvs::{AddressFamily, ServiceFlags};

use crate::config::SCHEDULERS;
use crate::duration::{format_duration, parse_duration};
use crate::names::Name;
use crate::safe_text::SafeText;

/// Maximum number of items of one value.
const MAX_ITEMS: usize = 64;

/// Longest time in a policy: a longer one would keep an endpoint for as long as a Service likes.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given<'a> {
    /// A text. Items are separated by commas: `a, b`; an item may have a key: `zone/a=10, zone/b=5`.
    Text(Cow<'a, str>),
    /// Items of a list in a file.
    List(Vec<Cow<'a, str>>),
    /// Items of a mapping in a file.
    Map(Vec<(Cow<'a, str>, Cow<'a, str>)>),
}

impl Given<'_> {
    /// Returns the only text.
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text.trim()),
            Self::List(_) => Err("must be one value, not a list".to_owned()),
            Self::Map(_) => Err("must be one value, not a mapping".to_owned()),
        }
    }

    /// Returns the items, without keys.
    fn items(&self) -> Result<Vec<&str>, String> {
        let items: Vec<&str> = match self {
            Self::Text(text) => split(text).collect(),
            Self::List(items) => items.iter().map(|item| item.trim()).collect(),
            Self::Map(_) => return Err("must be a list, not a mapping".to_owned()),
        };
        limited(items)
    }

    /// Returns the items with their keys, in the order of the keys.
    pub(super) fn pairs(&self) -> Result<BTreeMap<&str, &str>, String> {
        let pair = |item| {
            let missing = || format!("{} has no `=`; write KEY=VALUE", quoted(item));
            let (key, value) = str::split_once(item, '=').ok_or_else(missing)?;
            Ok((key.trim(), value.trim()))
        };
        let pairs: Vec<(&str, &str)> = match self {
            Self::Text(text) => split(text).map(pair).collect::<Result<_, String>>()?,
            Self::List(items) => (items.iter())
                .map(|item| pair(item))
                .collect::<Result<_, String>>()?,
            Self::Map(pairs) => (pairs.iter())
                .map(|(key, value)| (key.trim(), value.trim()))
                .collect(),
        };
        let mut by_key = BTreeMap::new();
        for (key, value) in limited(pairs)? {
            if by_key.insert(key, value).is_some() {
                return Err(format!("has {} twice", quoted(key)));
            }
        }
        Ok(by_key)
    }
}

impl<'a> From<&'a str> for Given<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn limited<T>(items: Vec<T>) -> Result<Vec<T>, String> {
    match items.len() {
        0 => Err("is empty".to_owned()),
        1..=MAX_ITEMS => Ok(items),
        many => Err(format!("has {many} items; at most {MAX_ITEMS} are read")),
    }
}

/// Returns `text` for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", SafeText::new(text))
}

/// Reads a whole number from `least` to `most`.
pub(super) fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    (text.parse().ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            format!(
                "{} is not a whole number from {least} to {most}",
                quoted(text)
            )
        })
}

/// Takes the value of `key` from `pairs`.
pub(super) fn take_number(
    pairs: &mut BTreeMap<&str, &str>,
    key: &str,
    most: u32,
) -> Result<Option<u32>, String> {
    let value = pairs.remove(key);
    let read = |text| number(text, 0, most).map_err(|problem| format!("{key}: {problem}"));
    value.map(read).transpose()
}

/// Refuses what is left of `pairs`.
pub(super) fn refuse_others(pairs: &BTreeMap<&str, &str>, known: &str) -> Result<(), String> {
    match pairs.keys().next() {
        None => Ok(()),
        Some(key) => Err(format!("{} is none of {known}", quoted(key))),
    }
}

/// A value of a field.
pub(super) trait Value: Sized {
    /// Describes the values. Markdown.
    fn form() -> String;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// The problem of the value, as the end of a sentence.
    fn read(given: &Given<'_>) -> Result<Self, String>;

    /// Writes the value as an annotation holds it.
    fn write(&self) -> String;
}

impl Value for bool {
    fn form() -> String {
        "`true`, `false`".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        match given.text()? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("{} is neither true nor false", quoted(other))),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// Name of a scheduler that a policy may choose: one of [`SCHEDULERS`]. The administrator alone may
/// choose another one, because the name selects the kernel module to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerName(pub Arc<str>);

impl Value for SchedulerName {
    fn form() -> String {
        format!("`{}`", SCHEDULERS.join("`, `"))
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let text = given.text()?;
        match SCHEDULERS.contains(&text) {
            true => Ok(Self(text.into())),
            false => Err(format!(
                "{} is none of {}",
                quoted(text),
                SCHEDULERS.join(", ")
            )),
        }
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Names of the flags of schedulers.
const FLAGS: [&str; 4] = ["sh-port", "sh-fallback", "mh-port", "mh-fallback"];

impl Value for Vec<Name> {
    fn form() -> String {
        format!("list of `{}`", FLAGS.join("`, `"))
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut flags: Self = Vec::new();
        for item in given.items()? {
            if !FLAGS.contains(&item) {
                return Err(format!("{} is none of {}", quoted(item), FLAGS.join(", ")));
            }
            if !flags.iter().any(|flag| **flag == *item) {
                flags.push(item.into());
            }
        }
        Ok(flags)
    }

    fn write(&self) -> String {
        self.join(", ")
    }
}

/// Returns the flags of a virtual server with `scheduler`.
///
/// # Errors
///
/// A flag that another scheduler has.
pub fn scheduler_flags<'a>(scheduler: &str, flags: &'a [Name]) -> Result<ServiceFlags, &'a Name> {
    let mut all = ServiceFlags::empty();
    for flag in flags {
        all |= ipvs::text::scheduler_flag(scheduler, flag).map_err(|_| flag)?;
    }
    Ok(all)
}

/// Returns true if `scheduler` gives an endpoint connections by its weight. The others only
/// distinguish weight 0 (`net/netfilter/ipvs/ip_vs_*.c`, Linux 6.12).
#[must_use]
pub fn is_weighted(scheduler: &str) -> bool {
    !matches!(scheduler, "rr" | "lc" | "dh")
}

/// Numbers of connections between which an endpoint gets no new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Number of connections above which the endpoint gets no new ones; at least 1.
    pub upper: u32,
    /// Number of connections below which it gets new ones again; 0 means three quarters of `upper`.
    pub lower: u32,
}

impl Value for ConnectionLimits {
    fn form() -> String {
        "`upper=NUMBER`, `lower=NUMBER`".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut pairs = given.pairs()?;
        let upper = take_number(&mut pairs, "upper", u32::MAX)?;
        let lower = take_number(&mut pairs, "lower", u32::MAX)?.unwrap_or(0);
        refuse_others(&pairs, "upper, lower")?;
        let upper = upper
            .filter(|upper| *upper > 0)
            .ok_or("needs upper=NUMBER above 0")?;
        match lower <= upper {
            true => Ok(Self { upper, lower }),
            false => Err(format!(
                "has a lower limit {lower} above the upper limit {upper}"
            )),
        }
    }

    fn write(&self) -> String {
        match self.lower {
            0 => format!("upper={}", self.upper),
            lower => format!("upper={}, lower={lower}", self.upper),
        }
    }
}

/// Prefix lengths of the clients that count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffinityPrefix {
    /// Length for IPv4, 1 to 32.
    pub ipv4: u8,
    /// Length for IPv6, 1 to 128.
    pub ipv6: u8,
}

impl AffinityPrefix {
    /// Returns the length for `family`.
    #[must_use]
    pub fn of(self, family: AddressFamily) -> u8 {
        match family {
            AddressFamily::Ipv4 => self.ipv4,
            AddressFamily::Ipv6 => self.ipv6,
        }
    }
}

impl Value for AffinityPrefix {
    fn form() -> String {
        "`ipv4=LENGTH`, `ipv6=LENGTH`; 32 and 128 if absent".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut pairs = given.pairs()?;
        let mut length = |key, most: u8| match pairs.remove(key) {
            None => Ok(most),
            Some(text) => number(text, 1, most.into())
                // The number is not above `most`.
                .map(|length| u8::try_from(length).unwrap_or(most))
                .map_err(|problem| format!("{key}: {problem}")),
        };
        let (ipv4, ipv6) = (length("ipv4", 32)?, length("ipv6", 128)?);
        refuse_others(&pairs, "ipv4, ipv6")?;
        Ok(Self { ipv4, ipv6 })
    }

    fn write(&self) -> String {
        format!("ipv4={}, ipv6={}", self.ipv4, self.ipv6)
    }
}

/// Ports at which a client with session affinity has one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityScope {
    /// Each port has an affinity of its own, as in kube-proxy.
    Port,
    /// All ports of a Service with one protocol share an affinity.
    Service,
}

impl Value for AffinityScope {
    fn form() -> String {
        "`port`, `service`".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        match given.text()? {
            "port" => Ok(Self::Port),
            "service" => Ok(Self::Service),
            other => Err(format!("{} is neither port nor service", quoted(other))),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Port => "port".to_owned(),
            Self::Service => "service".to_owned(),
        }
    }
}

/// Maximum time of a drain, at most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain(pub Duration);

impl Value for Drain {
    fn form() -> String {
        "duration such as `30s` or `5m`, at most `24h`".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let text = given.text()?;
        match parse_duration(text) {
            None => Err(format!("{} is no duration such as 30s or 5m", quoted(text))),
            Some(time) if time > LONGEST => Err(format!(
                "{} is longer than {}",
                quoted(text),
                format_duration(LONGEST)
            )),
            Some(time) => Ok(Self(time)),
        }
    }

    fn write(&self) -> String {
        format_duration(self.0)
    }
}
