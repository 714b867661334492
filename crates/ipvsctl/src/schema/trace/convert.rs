//! Converts a trace into its document.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipvs::RealServerKey;
use model::rules::Target;
use trace::{Balance, Branch, End, Outcome, Probe, RuleStep, Step};

use super::phrase;
use super::{
    Trace, TraceOutcome, TraceStep, TraceVerdict, TracedPacket, TracedRealServer, TracedRule,
    TracedSet, TracedVirtualServer,
};
use crate::input::surroundings::Endpoint;
use crate::schema::API_VERSION;

/// Maximum number of real servers that the sentence of the verdict names.
const NAMED: usize = 5;

/// Facts about a trace that the trace itself does not contain.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The node.
    pub node_name: &'a str,
    /// Origin of the tables: `kernel`, `saved` or `desired`.
    pub tables: &'static str,
    /// The sender, as a noun.
    pub from: String,
    /// The Service port of the virtual server, if it is known.
    pub service: Option<String>,
    /// The Service port that the objects ask a virtual server for at the destination, if the tables
    /// lack it.
    pub missing: Option<String>,
    /// Endpoints by address.
    pub endpoints: &'a BTreeMap<IpAddr, Endpoint>,
    /// Assumptions.
    pub assumptions: &'a [String],
}

impl Trace {
    /// Returns the document of `trace`.
    #[must_use]
    pub fn new(subject: &Subject, trace: &trace::Trace) -> Self {
        let probe = &trace.probe;
        let mut document = Self {
            api_version: API_VERSION,
            kind: "Trace",
            node_name: subject.node_name.to_owned(),
            tables: subject.tables,
            packet: TracedPacket {
                from: subject.from.clone(),
                source: trace.source.map(|source| source.to_string()),
                destination: probe.address().to_string(),
                port: probe.to.port(),
                protocol: phrase::protocol(probe.protocol),
            },
            steps: steps(&trace.steps, probe, probe.address()),
            virtual_server: None,
            real_servers: Vec::new(),
            verdict: TraceVerdict {
                result: "notJudged",
                text: String::new(),
                outcomes: Vec::new(),
            },
            assumptions: subject.assumptions.to_vec(),
        };
        let mut outcomes = match &trace.end {
            End::Outcome(outcome) => vec![only(&Ok(outcome.clone()), trace)],
            End::Unjudged(unjudged) => vec![only(&Err(unjudged.clone()), trace)],
            End::Balanced(balance) => {
                document.add(balance, subject, trace);
                let servers = document.real_servers.iter();
                servers.filter_map(|real| real.outcome.clone()).collect()
            }
        };
        if outcomes.is_empty() {
            outcomes.push(no_real_server(&document));
        }
        let found = verdict(&document, outcomes);
        document.verdict = match &subject.missing {
            Some(service) => not_served(service, found),
            None => found,
        };
        document
    }

    fn add(&mut self, balance: &Balance, subject: &Subject, trace: &trace::Trace) {
        let server = balance.server;
        self.virtual_server = Some(TracedVirtualServer {
            key: server.key.to_string(),
            service: subject.service.clone(),
            scheduler: server.scheduler.to_string(),
            persistence_seconds: balance
                .is_persistent()
                .then_some(server.persistence_timeout.as_secs()),
        });
        if balance.is_persistent() {
            let seconds = server.persistence_timeout.as_secs();
            self.assumptions.push(format!(
                "the client is new: one that connected in the last {seconds} s keeps its real server"
            ));
        }
        let branches = balance.branches.iter();
        self.real_servers = branches
            .map(|branch| real_server(branch, subject, trace))
            .collect();
    }
}

fn only(outcome: &Result<Outcome, trace::Unjudged>, trace: &trace::Trace) -> TraceOutcome {
    phrase::outcome(outcome, &trace.steps, trace.source, None)
}

fn real_server(branch: &Branch, subject: &Subject, trace: &trace::Trace) -> TracedRealServer {
    let RealServerKey { address, port } = branch.real.key;
    let endpoint = subject.endpoints.get(&address);
    let node = endpoint.and_then(|endpoint| endpoint.node.as_deref());
    let name = match node {
        Some(node) => format!("{} (node {node})", branch.real.key),
        None => branch.real.key.to_string(),
    };
    TracedRealServer {
        address: address.to_string(),
        port,
        node: node.map(ToOwned::to_owned),
        forwarding: branch.real.forwarding.to_string(),
        weight: branch.real.weight,
        steps: steps(&branch.steps, &trace.probe, address),
        outcome: (branch.outcome.as_ref())
            .map(|outcome| phrase::outcome(outcome, &branch.steps, trace.source, Some(&name))),
    }
}

fn steps(steps: &[Step], probe: &Probe, to: IpAddr) -> Vec<TraceStep> {
    let convert = |step: &Step| {
        let (decision, mark, rules) = match step {
            Step::Chain(traversal) => {
                let rules = traversal.rules.iter();
                let rules = rules.map(|rule| of_rule(rule, traversal.chain));
                (
                    traversal.decision.and_then(decision),
                    (traversal.mark != 0).then(|| format!("{:#x}", traversal.mark)),
                    rules.collect(),
                )
            }
            _ => (None, None, Vec::new()),
        };
        TraceStep {
            at: phrase::place(step),
            text: phrase::step(step, probe, to),
            decision,
            mark,
            rules,
        }
    };
    steps.iter().map(convert).collect()
}

fn decision(target: &Target) -> Option<&'static str> {
    match target {
        Target::Accept => Some("ACCEPT"),
        Target::Drop => Some("DROP"),
        Target::Reject(_) => Some("REJECT"),
        Target::Masquerade { .. } => Some("MASQUERADE"),
        _ => None,
    }
}

fn of_rule(rule: &RuleStep, built_in: &str) -> TracedRule {
    let sets = rule.sets.iter().map(|test| TracedSet {
        set: test.set.to_string(),
        element: test.element.clone(),
        found: test.found,
    });
    TracedRule {
        rule: rule.to_string(),
        matched: rule.matched(),
        failed: rule.failed.map(ToString::to_string),
        sets: sets.collect(),
        chain: rule.chain.to_owned(),
        is_entry: rule.chain == built_in && matches!(rule.rule.target, Target::Jump(_)),
    }
}

/// Returns the verdict about a packet to `service` whose virtual server is missing. Without it the
/// result of the packet is `found`.
fn not_served(service: &str, found: TraceVerdict) -> TraceVerdict {
    TraceVerdict {
        result: "failed",
        text: format!(
            "{service}: these tables lack its virtual server: {}",
            found.text
        ),
        outcomes: found.outcomes,
    }
}

fn verdict(document: &Trace, mut outcomes: Vec<TraceOutcome>) -> TraceVerdict {
    let is = |results: &[&str]| {
        outcomes
            .iter()
            .any(|outcome| results.contains(&outcome.result))
    };
    let result = if is(&["refused", "lost"]) {
        "failed"
    } else if is(&["delivered", "notJudged"]) {
        "notJudged"
    } else if is(&["forwarded"]) {
        "forwarded"
    } else {
        "answered"
    };
    let server = document.virtual_server.as_ref();
    let of = server.and_then(|server| server.service.as_ref());
    let of = of.map_or(String::new(), |service| format!("{service}: "));
    let text = one_of(&outcomes);
    outcomes.dedup();
    TraceVerdict {
        result,
        text: of + &text,
        outcomes,
    }
}

fn no_real_server(document: &Trace) -> TraceOutcome {
    let server = document.virtual_server.as_ref();
    let owner = server.map_or("the virtual server", |server| &server.key);
    let why = match document.real_servers.len() {
        0 => format!("{owner} has no real server"),
        1 => format!("the real server of {owner} gets no new connections"),
        count => format!("none of the {count} real servers of {owner} gets new connections"),
    };
    TraceOutcome {
        result: "refused",
        source: None,
        text: format!("refused with ICMP port unreachable: {why}"),
    }
}

fn one_of(outcomes: &[TraceOutcome]) -> String {
    let named = outcomes.iter().take(NAMED);
    let mut text = named
        .map(|outcome| &*outcome.text)
        .collect::<Vec<_>>()
        .join("; or ");
    if let Some(more @ 1..) = outcomes.len().checked_sub(NAMED) {
        text.push_str(&format!("; or {more} more"));
    }
    text
}
