//! Text output of `trace`.
use std::fmt::Write as _;

use anstyle::Style;

use crate::output::at_port;
use crate::schema::{Trace, TraceStep, TracedRealServer, TracedRule, TracedVirtualServer};
use crate::style;

/// Maximum number of real servers with their paths, those that do not answer first.
const SHOWN: usize = 20;

/// Width of the column with the places of steps.
const PLACE: usize = 17;

/// Returns the path hook by hook, the real servers, the verdict and the assumptions. Contains
/// escape sequences for colours. Rules that do not match are included if `all` is true, and in the
/// chain that refuses the packet.
#[must_use]
pub fn text(trace: &Trace, all: bool) -> String {
    let mut text = String::new();
    let heading = style::HEADING;
    let packet = &trace.packet;
    let source = packet.source.as_deref().unwrap_or("unknown address");
    let to = destination(&packet.destination, packet.port, &packet.protocol);
    let tables = match trace.tables {
        "kernel" => "the kernel's tables",
        "saved" => "saved tables",
        _ => "the desired tables",
    };
    let _ = writeln!(
        text,
        "{heading}{source} ({}) -> {to}, through {tables} of node {}{heading:#}\n",
        packet.from, trace.node_name
    );
    steps(&mut text, "", &trace.steps, all);
    if let Some(server) = &trace.virtual_server {
        virtual_server(&mut text, server, &trace.real_servers);
    }
    let mut shown: Vec<&TracedRealServer> = trace.real_servers.iter().collect();
    if !all && shown.len() > SHOWN {
        let answers = |real: &&TracedRealServer| {
            (real.outcome.as_ref()).is_none_or(|outcome| outcome.result == "answered")
        };
        shown.sort_by_key(answers);
        shown.truncate(SHOWN);
    }
    for real in &shown {
        real_server(&mut text, real, all);
    }
    let hidden = trace.real_servers.len() - shown.len();
    if hidden > 0 {
        let _ = writeln!(text, "\n{hidden} more real servers; -o wide shows all");
    }
    let style = of_result(trace.verdict.result);
    let _ = writeln!(text, "\n{style}Verdict: {}{style:#}", trace.verdict.text);
    let quiet = style::QUIET;
    for assumption in &trace.assumptions {
        let _ = writeln!(text, "{quiet}Assumed: {assumption}{quiet:#}");
    }
    text
}

fn destination(address: &str, port: u16, protocol: &str) -> String {
    match protocol {
        "ICMP" => format!("{address}/{protocol}"),
        _ => format!("{}/{protocol}", at_port(address, port)),
    }
}

fn steps(text: &mut String, indent: &str, steps: &[TraceStep], all: bool) {
    for step in steps {
        let mark = step
            .mark
            .as_ref()
            .map_or(String::new(), |mark| format!(", mark {mark}"));
        let _ = writeln!(text, "{indent}{:PLACE$} {}{mark}", step.at, step.text);
        let refused = matches!(step.decision, Some("DROP" | "REJECT"));
        let chain = step
            .rules
            .last()
            .filter(|_| refused)
            .map(|rule| &rule.chain);
        let is_shown = |rule: &&TracedRule| {
            all || rule.matched && !rule.is_entry || Some(&rule.chain) == chain
        };
        let shown = step.rules.iter().filter(is_shown);
        for rule in shown {
            of_rule(text, indent, rule);
        }
    }
}

fn of_rule(text: &mut String, indent: &str, rule: &TracedRule) {
    let quiet = style::QUIET;
    let word = if rule.matched { "" } else { "no match: " };
    let _ = writeln!(text, "{indent}    {quiet}{word}{}{quiet:#}", rule.rule);
    for test in &rule.sets {
        let is = if test.found { "is" } else { "is not" };
        let (set, element) = (&test.set, &test.element);
        let _ = writeln!(text, "{indent}      {element} {is} in {set}");
    }
    // The test of a set above shows why a condition on a set fails.
    let failed = rule.failed.as_ref();
    if let Some(failed) = failed.filter(|failed| !failed.starts_with("-m set ")) {
        let _ = writeln!(text, "{indent}      fails: {failed}");
    }
}

fn virtual_server(text: &mut String, server: &TracedVirtualServer, reals: &[TracedRealServer]) {
    let key = &server.key;
    let of = server
        .service
        .as_ref()
        .map_or(String::new(), |service| format!(" of {service}"));
    let getting = reals.iter().filter(|real| real.outcome.is_some()).count();
    let persistence = server.persistence_seconds.map_or(String::new(), |seconds| {
        format!(", persistent for {seconds} s")
    });
    let _ = writeln!(
        text,
        "{:PLACE$} virtual server {key}{of}, scheduler {}{persistence}: {getting} of {} real servers get new connections",
        "IPVS",
        server.scheduler,
        reals.len()
    );
}

fn real_server(text: &mut String, real: &TracedRealServer, all: bool) {
    let TracedRealServer {
        address,
        port,
        node,
        forwarding,
        weight,
        ..
    } = real;
    let address = at_port(address, *port);
    let node = node
        .as_ref()
        .map_or(String::new(), |node| format!(" on node {node}"));
    let method = if forwarding == "Masq" {
        String::new()
    } else {
        format!(", {forwarding}")
    };
    let heading = style::HEADING;
    let _ = write!(
        text,
        "\n{heading}-> {address}{node}{heading:#}, weight {weight}{method}"
    );
    let Some(outcome) = &real.outcome else {
        text.push_str(": no new connections\n");
        return;
    };
    text.push('\n');
    steps(text, "   ", &real.steps, all);
    let style = of_result(outcome.result);
    let _ = writeln!(text, "   {style}{}{style:#}", outcome.text);
}

fn of_result(result: &str) -> Style {
    match result {
        "answered" | "forwarded" => style::ADD,
        "refused" | "lost" | "failed" => style::DELETE,
        _ => style::CHANGE,
    }
}
