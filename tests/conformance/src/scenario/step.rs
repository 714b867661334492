//! One step of a scenario.

use ipvs::RealServerKey;
use model::{Name, ObjectKind, ObjectName};
use regex::Regex;

use crate::section::Section;

/// A step with what it expects.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its line, from 1.
    pub line: usize,
    /// The step's action.
    pub directive: Directive,
    /// The lines below it, of a step that shows something; none where they are not written yet.
    pub expected: Option<Vec<String>>,
}

/// The action of a step.
#[derive(Clone, Debug)]
pub enum Directive {
    /// Objects come or change.
    Apply(Vec<String>),
    /// The objects of these files go.
    DeleteFiles(Vec<String>),
    /// One object goes.
    Delete(ObjectKind, ObjectName),
    /// Another configuration.
    Config(String),
    /// Another state of the node.
    Node(String),
    /// The kernel holds this.
    Live(String),
    /// Sets the real servers that have connections.
    Connections(Busy),
    /// The process starts anew.
    Restart,
    /// Make the plan and carry it out.
    Sync,
    /// Show what the node should hold.
    Tables(Vec<Section>, Filter),
    /// Show what the kernel holds.
    Kernel(Vec<Section>, Filter),
    /// Show the plan and carry it out.
    Plan(Filter),
    /// Show what is odd.
    Findings(Filter),
    /// Show health checks.
    Health,
    /// The tables are those shown last.
    Same,
    /// A packet's way, in the words of the packet oracle.
    Trace(String),
}

/// The real servers that have connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Busy {
    /// All of them.
    All,
    /// These, in whichever virtual server.
    Only(Vec<RealServerKey>),
}

/// Selection of the lines that are shown.
#[derive(Clone, Debug, Default)]
pub struct Filter(Option<Regex>);

impl Filter {
    /// Returns true if `line` is shown.
    #[must_use]
    pub fn shows(&self, line: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(line))
    }
}

impl Directive {
    /// Reads a step's line.
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
            _ => Err(format!("there is no step `{word}`")),
        }
    }

    /// Returns true if what it shows is compared with the lines below it.
    #[must_use]
    pub fn is_golden(&self) -> bool {
        matches!(
            self,
            Self::Tables(..) | Self::Kernel(..) | Self::Plan(_) | Self::Findings(_) | Self::Health
        )
    }

    /// Returns true if the cluster, the node, the kernel or the process is another one afterwards.
    pub(super) fn changes(&self) -> bool {
        !self.expects() && !matches!(self, Self::Same) || matches!(self, Self::Plan(_))
    }

    /// Returns true if it can fail.
    #[must_use]
    pub fn expects(&self) -> bool {
        self.is_golden() || matches!(self, Self::Trace(_))
    }

    /// The files that it names.
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

/// Takes a `/REGEX/` off the end.
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
    let regex =
        Regex::new(text).map_err(|error| format!("/{text}/ is no regular expression: {error}"))?;
    Ok((rest, Filter(Some(regex))))
}

fn names(words: &[&str]) -> Result<Vec<String>, String> {
    if words.is_empty() {
        return Err("a file is wanted".to_owned());
    }
    Ok(words.iter().map(ToString::to_string).collect())
}

fn one(words: &[&str]) -> Result<String, String> {
    match words {
        [word] => Ok((*word).to_owned()),
        _ => Err("one file is wanted".to_owned()),
    }
}

fn none(words: &[&str]) -> Result<(), String> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(format!("`{word}` means nothing here")),
    }
}

fn delete(words: &[&str]) -> Result<Directive, String> {
    let kind = match words.first() {
        Some(&"Service") => ObjectKind::Service,
        Some(&"EndpointSlice") => ObjectKind::EndpointSlice,
        Some(&"Node") => ObjectKind::Node,
        _ => return names(words).map(Directive::DeleteFiles),
    };
    let [_, name] = words else {
        return Err("one name is wanted".to_owned());
    };
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    if namespace.is_empty() != (kind == ObjectKind::Node) {
        return Err("NAMESPACE/NAME is wanted, of a Node NAME".to_owned());
    }
    Ok(Directive::Delete(
        kind,
        ObjectName::new(Name::from(namespace), Name::from(name)),
    ))
}

fn busy(words: &[&str]) -> Result<Busy, String> {
    match words {
        [] => Err("real servers, `all` or `none` are wanted".to_owned()),
        ["all"] => Ok(Busy::All),
        ["none"] => Ok(Busy::Only(Vec::new())),
        _ => (words.iter())
            .map(|word| {
                let socket: std::net::SocketAddr =
                    (word.parse()).map_err(|_| format!("`{word}` is no address with a port"))?;
                Ok(socket.into())
            })
            .collect::<Result<_, String>>()
            .map(Busy::Only),
    }
}

fn sections(words: &[&str]) -> Result<Vec<Section>, String> {
    if words.is_empty() {
        return Err(format!("sections are wanted: {}", Section::names()));
    }
    (words.iter())
        .map(|word| {
            Section::named(word)
                .ok_or_else(|| format!("there is no section `{word}`, but {}", Section::names()))
        })
        .collect()
}
