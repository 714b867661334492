//! The one table of all fields and flags. It drives the flags, the checks, the warnings, what
//! `ipvsctl config show` prints and the page `docs/reference/config.md`.

mod extra;
mod fields;

use std::fmt;

pub use self::extra::{EXTRA_FLAGS, ExtraFlag};
pub use self::fields::FIELDS;

/// The kind of value that a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// The name of a scheduler, at most 15 characters.
    Scheduler,
    /// The name of an interface or its beginning, at most 15 characters.
    Interface,
    /// `true` or `false`.
    Bool,
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// A number.
    Number,
    /// A duration in Go's form.
    Duration,
    /// A duration that the kernel counts in whole seconds and up to a limit, which both kube-proxy accepts without a word.
    KernelSeconds,
    /// An address.
    Address,
    /// An address and a port, this one if none is written; `0` alone is none.
    AddressPort(u16),
    /// Networks.
    Networks,
    /// Networks, and words for addresses of the node.
    NodePorts,
    /// Ports, 1 to 65535.
    Ports,
    /// One network, or one of each family with a comma between.
    NetworkPair,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words, each once.
    Words(&'static [&'static str]),
    /// Names with `true` or `false` each.
    Gates,
    /// Anything: it is not looked at.
    Any,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text | Self::Scheduler | Self::Interface => f.write_str("text"),
            Self::Bool => f.write_str("true or false"),
            Self::Whole(low, high) if is_open(*high) => write!(f, "whole number from {low}"),
            Self::Whole(low, high) => write!(f, "whole number from {low} to {high}"),
            Self::Number => f.write_str("number"),
            Self::Duration => f.write_str("duration"),
            Self::KernelSeconds => f.write_str("duration, whole seconds"),
            Self::Address => f.write_str("address"),
            Self::AddressPort(_) => f.write_str("address:port"),
            Self::Networks => f.write_str("networks"),
            Self::NodePorts => f.write_str("networks, `all`, `primary`, `localhost`"),
            Self::Ports => f.write_str("list of ports"),
            Self::NetworkPair => f.write_str("network, or one of each family, `,` between"),
            Self::Choice(words) => write!(f, "`{}`", words.join("`, `")),
            Self::Words(words) => write!(f, "list of `{}`", words.join("`, `")),
            Self::Gates => f.write_str("names with true or false"),
            Self::Any => f.write_str("any"),
        }
    }
}

/// Returns true if a bound is there only because kube-proxy's numbers have 32 bits.
pub(super) fn is_open(high: i64) -> bool {
    high == i64::from(i32::MAX)
}

/// The effect of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It decides something.
    Acts,
    /// It is checked and shown, and will act once the daemon has the part that it is for.
    Later,
    /// It belongs to another mode, another system or another program.
    Nothing,
}

/// One field of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// Where it is in the file: `ipvs.scheduler`.
    pub path: &'static str,
    /// kube-proxy's flag for it, without the dashes.
    pub flag: Option<&'static str>,
    /// The kind of its value.
    pub kind: Kind,
    /// Its default, as `config show` prints it; kube-proxy's default but for our own fields.
    pub default: &'static str,
    /// True if zero means the default, as in kube-proxy.
    pub zero_is_default: bool,
    /// Its effect.
    pub effect: Effect,
    /// True if it is in our own kind of configuration alone.
    pub ours: bool,
    /// Its purpose, with its unit and the meaning of 0. Markdown.
    pub meaning: &'static str,
}

impl FieldInfo {
    const fn new(
        path: &'static str,
        kind: Kind,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            path,
            flag: None,
            kind,
            default,
            zero_is_default: false,
            effect: Effect::Acts,
            ours: false,
            meaning,
        }
    }

    const fn flag(self, flag: &'static str) -> Self {
        Self {
            flag: Some(flag),
            ..self
        }
    }

    const fn later(self) -> Self {
        Self {
            effect: Effect::Later,
            ..self
        }
    }

    const fn nothing(self) -> Self {
        Self {
            effect: Effect::Nothing,
            ..self
        }
    }

    const fn ours(self) -> Self {
        Self { ours: true, ..self }
    }

    const fn zero_is_default(self) -> Self {
        Self {
            zero_is_default: true,
            ..self
        }
    }

    /// Returns true if its flag wins over a file and is given to the program by itself: it says who and where, not what.
    #[must_use]
    pub fn flag_wins(&self) -> bool {
        matches!(
            self.path,
            "hostnameOverride" | "clientConnection.kubeconfig"
        )
    }

    /// Returns true if its flag comes before the file, as kube-proxy's flags of logging do.
    #[must_use]
    pub fn flag_over_file(&self) -> bool {
        matches!(self.path, "logging.format" | "logging.verbosity")
    }
}

/// The field at `path`.
#[must_use]
pub fn field(path: &str) -> Option<&'static FieldInfo> {
    FIELDS.iter().find(|field| field.path == path)
}

/// Returns the advice for a field that kube-proxy had and has no longer.
pub(super) fn retired(path: &str) -> Option<&'static str> {
    let (_, instead) = fields::RETIRED
        .iter()
        .find(|(retired, _)| *retired == path)?;
    Some(instead)
}

/// Returns true if fields are below `path`.
pub(super) fn is_section(path: &str) -> bool {
    FIELDS.iter().any(|field| {
        let rest = field.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.starts_with('.'))
    })
}

/// A field or section that is `path` but for upper and lower case.
pub(super) fn nearly(path: &str) -> Option<&'static str> {
    (FIELDS.iter()).find_map(|field| {
        let head = field.path.get(..path.len())?;
        let rest = &field.path[path.len()..];
        let whole = rest.is_empty() || rest.starts_with('.');
        (whole && head.eq_ignore_ascii_case(path)).then_some(head)
    })
}
