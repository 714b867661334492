//! One step of a scenario.

use ipvs::RealServerKey;
use model::{Name, ObjectKind, ObjectName};
use regex::Regex;

use crate::section::Section;

/// A step with its expectation.
#[derive(Clone, Debug)]
pub struct Step {
    /// Line number, from 1.
    pub line: usize,
    /// Action of the step.
    pub directive: Directive,
    /// Lines below the step, for a step with an expectation; none if they are not written yet.
    pub expected: Option<Vec<String>>,
}

/// The action of a step.
#[derive(Clone, Debug)]
pub enum Directive {
    /// Adds or replaces objects.
    Apply(Vec<String>),
    /// Deletes the objects of these files.
    DeleteFiles(Vec<String>),
    /// Deletes one object.
    Delete(ObjectKind, ObjectName),
    /// Sets the configuration.
    Config(String),
    /// Sets the state of the node.
    Node(String),
    /// Sets the kernel's tables.
    Live(String),
    /// Sets the real servers that have connections.
    Connections(Busy),
    /// Restarts the process.
    Restart,
    /// Makes the plan and applies it.
    Sync,
    /// Prints the desired tables of the node.
    Tables(Vec<Section>, Filter),
    /// Prints the kernel's tables.
    Kernel(Vec<Section>, Filter),
    /// Prints the plan and applies it.
    Plan(Filter),
    /// Prints findings.
    Findings(Filter),
    /// Prints health checks.
    Health,
    /// Compares the tables with those printed last.
    Same,
    /// Path of a packet, in the syntax of `trace::Probe`.
    Trace(String),
}

/// The real servers that have connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// All of them.
    All,
    /// The listed real servers, in any virtual server.
    Only(Vec<RealServerKey>),
}

/// Selection of the printed lines.
#[derive(Clone, Debug, Default)]
pub struct Filter(Option<Regex>);

impl Filter {
    /// Returns true if `line` is selected.
    #[must_use]
    pub fn shows(&self, line: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(line))
    }
}

impl Directive {
    /// Parses the line of a step.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim_end();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (rest, filter) = split_filter(rest.trim())?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let takes_filter = matches!(word, "tables" | "kernel" | "plan" | "findings");
        if filter.0.is_some() && !takes_filter && word != "trace" {
            return Err(format!("{word} takes no /filter/"));
        }
        match word {
            "apply" => Ok(Self::Apply(names(&words)?)),
            "delete" => delete(&words),
            "config" => Ok(Self::Config(one(&words)?)),
            "node" => Ok(Self::Node(one(&words)?)),
            "live" => Ok(Self::Live(one(&words)?)),
            "connections" => Ok(Self::Connections(busy(&words)?)),
            "restart" => none(&words).map(|()| Self::Restart),
            "sync" => none(&words).map(|()| Self::Sync),
            "tables" => Ok(Self::Tables(sections(&words)?, filter)),
            "kernel" => Ok(Self::Kernel(sections(&words)?, filter)),
            "plan" => none(&words).map(|()| Self::Plan(filter)),
            "findings" => none(&words).map(|()| Self::Findings(filter)),
            "health" => none(&words).map(|()| Self::Health),
            "same" => none(&words).map(|()| Self::Same),
            "trace" => Ok(Self::Trace(line["trace".len()..].trim().to_owned())),
            _ => Err(format!("unknown step `{word}`")),
        }
    }

    /// Returns true if its output is compared with the lines below it.
    #[must_use]
    pub fn is_golden(&self) -> bool {
        matches!(
            self,
            Self::Tables(..) | Self::Kernel(..) | Self::Plan(_) | Self::Findings(_) | Self::Health
        )
    }

    /// Returns true if it may change the cluster, the node, the kernel or the process.
    pub(super) fn changes(&self) -> bool {
        !self.expects() && !matches!(self, Self::Same) || matches!(self, Self::Plan(_))
    }

    /// Returns true if it can fail.
    #[must_use]
    pub fn expects(&self) -> bool {
        self.is_golden() || matches!(self, Self::Trace(_))
    }

    /// Returns the files that it names.
    pub(super) fn files(&self) -> Vec<&str> {
        match self {
            Self::Apply(names) | Self::DeleteFiles(names) => {
                names.iter().map(String::as_str).collect()
            }
            Self::Config(name) | Self::Node(name) | Self::Live(name) => vec![name],
            _ => Vec::new(),
        }
    }
}

/// Splits a `/REGEX/` off the end.
fn split_filter(rest: &str) -> Result<(&str, Filter), String> {
    let found = (rest.strip_suffix('/')).and_then(|inner| {
        let start = inner
            .find('/')
            .filter(|at| *at == 0 || inner[..*at].ends_with(' '))?;
        Some((&rest[..start], &inner[start + 1..]))
    });
    let Some((rest, text)) = found else {
        return Ok((rest, Filter::default()));
    };
    let regex = Regex::new(text)
        .map_err(|error| format!("/{text}/ is not a regular expression: {error}"))?;
    Ok((rest, Filter(Some(regex))))
}

fn names(words: &[&str]) -> Result<Vec<String>, String> {
    if words.is_empty() {
        return Err("expected a file".to_owned());
    }
    Ok(words.iter().map(ToString::to_string).collect())
}

fn one(words: &[&str]) -> Result<String, String> {
    match words {
        [word] => Ok((*word).to_owned()),
        _ => Err("expected one file".to_owned()),
    }
}

fn none(words: &[&str]) -> Result<(), String> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(format!("unexpected `{word}`")),
    }
}

fn delete(words: &[&str]) -> Result<Directive, String> {
    let kind = match words.first() {
        Some(&"Service") => ObjectKind::Service,
        Some(&"EndpointSlice") => ObjectKind::EndpointSlice,
        Some(&"Node") => ObjectKind::Node,
        Some(&"VirtualServer") => ObjectKind::VirtualServer,
        _ => return names(words).map(Directive::DeleteFiles),
    };
    let [_, name] = words else {
        return Err("expected one name".to_owned());
    };
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    if namespace.is_empty() != (kind == ObjectKind::Node) {
        return Err("expected NAMESPACE/NAME, for a Node NAME".to_owned());
    }
    let name = match kind {
        ObjectKind::VirtualServer => ObjectName::virtual_server(namespace, name),
        _ => ObjectName::new(Name::from(namespace), Name::from(name)),
    };
    Ok(Directive::Delete(kind, name))
}

fn busy(words: &[&str]) -> Result<Busy, String> {
    match words {
        [] => Err("real servers, `all` or `none` are wanted".to_owned()),
        ["all"] => Ok(Busy::All),
        ["none"] => Ok(Busy::Only(Vec::new())),
        _ => (words.iter())
            .map(|word| {
                let socket: std::net::SocketAddr = (word.parse())
                    .map_err(|_| format!("`{word}` is not an address with a port"))?;
                Ok(socket.into())
            })
            .collect::<Result<_, String>>()
            .map(Busy::Only),
    }
}

fn sections(words: &[&str]) -> Result<Vec<Section>, String> {
    if words.is_empty() {
        return Err(format!("expected sections: {}", Section::names()));
    }
    (words.iter())
        .map(|word| {
            Section::named(word).ok_or_else(|| {
                format!(
                    "unknown section `{word}`, expected one of {}",
                    Section::names()
                )
            })
        })
        .collect()
}
