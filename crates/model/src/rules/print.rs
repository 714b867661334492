//! Prints rules.

use std::fmt;

use ipset::Dimension;
use ipvs::Protocol;

use super::{ConnectionState, Match, Rule, Table, Target};

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat => "nat",
            Self::Filter => "filter",
        })
    }
}

/// Prints the text after `-A CHAIN ` in the rule's line.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for condition in &self.matches {
            write!(f, "{space}{condition}")?;
            space = " ";
        }
        match self.target {
            Target::Nothing => Ok(()),
            _ => write!(f, "{space}{}", self.target),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "! " } else { "" };
        match self {
            Self::Source { negated, network } => write!(f, "{}-s {network}", not(negated)),
            Self::Destination { negated, network } => write!(f, "{}-d {network}", not(negated)),
            Self::InInterface { negated, name } => write!(f, "{}-i {name}", not(negated)),
            Self::Protocol(protocol) => match protocol {
                Protocol::Tcp => f.write_str("-p tcp"),
                Protocol::Udp => f.write_str("-p udp"),
                Protocol::Sctp => f.write_str("-p sctp"),
                Protocol::Other(number) => write!(f, "-p {number}"),
            },
            Self::Comment(text) => write!(f, "-m comment --comment {}", quote(text)),
            Self::Set {
                negated,
                name,
                dimensions,
            } => {
                let ends = dimensions.iter().map(|end| match end {
                    Dimension::Src => "src",
                    Dimension::Dst => "dst",
                });
                let ends = ends.collect::<Vec<_>>().join(",");
                write!(f, "-m set {}--match-set {name} {ends}", not(negated))
            }
            Self::Mark {
                negated,
                value,
                mask,
            } => {
                write!(f, "-m mark {}--mark {value:#x}", not(negated))?;
                match mask {
                    &u32::MAX => Ok(()),
                    mask => write!(f, "/{mask:#x}"),
                }
            }
            Self::Local { negated, end } => {
                let end = match end {
                    Dimension::Src => "src",
                    Dimension::Dst => "dst",
                };
                write!(f, "-m addrtype {}--{end}-type LOCAL", not(negated))
            }
            Self::PhysdevIsIn { negated } => {
                write!(f, "-m physdev {}--physdev-is-in", not(negated))
            }
            Self::ConnectionState(states) => {
                let states: Vec<_> = states.iter().map(ConnectionState::to_string).collect();
                write!(f, "-m conntrack --ctstate {}", states.join(","))
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "NEW",
            Self::Related => "RELATED",
            Self::Established => "ESTABLISHED",
        })
    }
}

/// Prints [`Target::Nothing`] as an empty text.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Jump(chain) => write!(f, "-j {chain}"),
            Self::Return => f.write_str("-j RETURN"),
            Self::Accept => f.write_str("-j ACCEPT"),
            Self::Drop => f.write_str("-j DROP"),
            Self::Reject(with) => write!(f, "-j REJECT --reject-with {with}"),
            Self::Mark { value, mask } => {
                write!(f, "-j MARK --set-xmark {value:#x}/{mask:#x}")
            }
            Self::Masquerade { random_fully } => {
                f.write_str("-j MASQUERADE")?;
                f.write_str(if *random_fully { " --random-fully" } else { "" })
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Quotes `text` as iptables does (`xtables_save_string`). Text of letters, digits, `_` and `-`
/// stays bare. Other text gets double quotes, with a backslash before quotes and backslashes.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '\'') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
