//! Sentences about steps and results.

use std::net::IpAddr;

use ipvs::{Forwarding, Protocol};
use model::host_rules::{HarmfulTarget, Hook};
use model::rules::Target;
use trace::{At, Outcome, Probe, Route, Step, Traversal, Unjudged};

use super::TraceOutcome;

/// Returns the name of a protocol, `ICMP` for both families.
pub(super) fn protocol(protocol: Protocol) -> String {
    match protocol {
        trace::ICMP => "ICMP".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the place of a step.
pub(super) fn place(step: &Step) -> String {
    match step {
        Step::Chain(Traversal { table, chain, .. }) | Step::NotTracked { table, chain, .. } => {
            format!("{table} {chain}")
        }
        Step::HostRule { hook, .. } => hook.to_string(),
        Step::WithinPod => "pod".to_owned(),
        Step::WithinBridge => "bridge".to_owned(),
        Step::Route(_) | Step::NotForwarded => "routing".to_owned(),
        Step::NoVirtualServer | Step::Encapsulated(_) => "IPVS".to_owned(),
        Step::AnswerBypassesNode | Step::AnswerNotForwarded | Step::AnswerDropped { .. } => {
            "answer".to_owned()
        }
        Step::FromReceiver => "arrival".to_owned(),
        Step::Masqueraded(_) => "source".to_owned(),
    }
}

/// Returns what happens in a step. `to` is the destination of the packet there.
pub(super) fn step(step: &Step, probe: &Probe, to: IpAddr) -> String {
    match step {
        Step::WithinPod => "the packet does not leave the pod".to_owned(),
        Step::WithinBridge => {
            "the packet stays on its bridge, whose packets do not pass iptables".to_owned()
        }
        Step::Chain(traversal) => match traversal.decision {
            None => "passed".to_owned(),
            Some(Target::Accept) => "accepted, later rules do not apply".to_owned(),
            Some(Target::Drop) => "dropped".to_owned(),
            Some(Target::Reject(with)) => format!("refused with {with}"),
            Some(Target::Masquerade { .. }) => "masqueraded".to_owned(),
            Some(other) => other.to_string(),
        },
        Step::NotTracked { by_ipvs: true, .. } => {
            "skipped: net.ipv4.vs.conntrack is 0, so packets that IPVS sends are not tracked"
                .to_owned()
        }
        Step::NotTracked { .. } => "skipped: the packet is not tracked".to_owned(),
        Step::NotForwarded => "this node does not forward packets".to_owned(),
        Step::AnswerNotForwarded | Step::AnswerDropped { .. } => {
            reason(std::slice::from_ref(step)).unwrap_or_default()
        }
        Step::FromReceiver => {
            format!("the source is {to} itself, which drops packets from its own address")
        }
        Step::HostRule {
            hook: Hook::RawPrerouting | Hook::RawOutput,
            rule,
        } => format!(
            "exempted from connection tracking by another program: {}",
            rule.by
        ),
        Step::HostRule { rule, .. } => {
            format!("{} by another program: {}", fate(rule), rule.by)
        }
        Step::Route(route) => match route {
            Route::Virtual => format!("{to} is on {}: this node accepts it", model::DEVICE),
            Route::Own => format!("{to} is an address of this node"),
            Route::To(at) => format!("{to} is {}", location(at)),
            Route::Nowhere => format!("no route to {to}"),
        },
        Step::NoVirtualServer => {
            format!(
                "no virtual server for {}/{}",
                probe.to,
                protocol(probe.protocol)
            )
        }
        Step::AnswerBypassesNode => format!(
            "the real server answers the client directly, not through this node and not from {}: \
             the client ignores the answer",
            probe.address()
        ),
        Step::Encapsulated(to) => format!("the packet leaves in another packet to {to}"),
        Step::Masqueraded(Some(source)) => format!("becomes {source}"),
        Step::Masqueraded(None) => {
            "becomes an address of this node; which one is not known".to_owned()
        }
    }
}

fn fate(rule: &HarmfulTarget) -> &'static str {
    match rule.reject_with {
        Some(_) => "refused",
        None => "dropped",
    }
}

fn location(at: &At) -> String {
    let by = |interface: &Option<String>| match interface {
        Some(interface) => format!(", by {interface}"),
        None => String::new(),
    };
    match at {
        At::Host => "an address of this node".to_owned(),
        At::Bridge(bridge) => format!("on this node, by the bridge {bridge}"),
        At::Pod(interface) => format!("on this node{}", by(interface)),
        At::Node { name, interface } => format!("on node {name}{}", by(interface)),
        At::Link(interface) => format!("outside the cluster{}", by(interface)),
        At::Unknown(interface) => format!("on an unknown node{}", by(interface)),
    }
}

/// Returns the result `outcome` after `steps`. `source` is the source of the packet at its sender.
pub(super) fn outcome(
    outcome: &Result<Outcome, Unjudged>,
    steps: &[Step],
    source: Option<IpAddr>,
    own_name: Option<&str>,
) -> TraceOutcome {
    let because = || reason(steps).map_or(String::new(), |reason| format!(": {reason}"));
    let sees = |seeing: &Option<IpAddr>| sees(*seeing, source);
    let (result, seeing, text) = match outcome {
        Err(unjudged) => ("notJudged", None, unjudged.to_string()),
        Ok(Outcome::Answered { by, seeing }) => {
            let by = own_name.unwrap_or(by);
            let text = format!("answered by {by}, which sees {}", sees(seeing));
            ("answered", *seeing, text)
        }
        Ok(Outcome::Echo) => ("answered", None, "the echo request is answered".to_owned()),
        Ok(Outcome::Delivered {
            to,
            on_node,
            seeing,
        }) => {
            let place = match on_node {
                true => "this node at ",
                false => "",
            };
            let text = format!(
                "delivered to {place}{to} with source {}; whether a program listens there is not known",
                sees(seeing)
            );
            ("delivered", *seeing, text)
        }
        Ok(Outcome::Routed { to, seeing }) => {
            let text = format!(
                "no virtual server takes the packet: it is routed to {to} with source {}; whether a \
                 program listens there is not known",
                sees(seeing)
            );
            ("forwarded", *seeing, text)
        }
        Ok(Outcome::Forwarded { to, by, seeing }) => {
            let text = format!(
                "passed on to {to} {}, which sees {} and answers the client itself",
                method(*by),
                sees(seeing)
            );
            ("forwarded", *seeing, text)
        }
        Ok(Outcome::Refused) => ("refused", None, format!("refused{}", because())),
        Ok(Outcome::Unreachable(what)) => (
            "refused",
            None,
            match what.ends_with("prohibited") {
                true => format!("refused with ICMP {what}{}", because()),
                false => format!("refused with ICMP {what} unreachable{}", because()),
            },
        ),
        Ok(Outcome::Lost) => ("lost", None, format!("no answer{}", because())),
        Ok(Outcome::NotPermitted) => (
            "refused",
            None,
            format!("the program that sends it gets EPERM{}", because()),
        ),
    };
    TraceOutcome {
        result,
        source: seeing.map(|source| source.to_string()),
        text,
    }
}

fn sees(seeing: Option<IpAddr>, source: Option<IpAddr>) -> String {
    match seeing {
        None => "an address of this node (masqueraded)".to_owned(),
        Some(seen) if Some(seen) == source => format!("{seen} (the sender's own)"),
        Some(seen) => format!("{seen} (masqueraded)"),
    }
}

fn method(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::DirectRoute => "by direct routing",
        Forwarding::Tunnel(_) => "in a tunnel",
        _ => "unchanged",
    }
}

/// Returns why a path ended after `steps`.
fn reason(steps: &[Step]) -> Option<String> {
    let last = steps.last()?;
    match last {
        Step::Chain(traversal) => {
            let rule = traversal.rules.last()?;
            let verb = match traversal.decision? {
                Target::Drop => "dropped",
                Target::Reject(_) => "refused",
                _ => return None,
            };
            Some(format!("{verb} by `{rule}` in table {}", traversal.table))
        }
        Step::HostRule { rule, hook } => Some(format!(
            "{} by {}, of another program, in {hook}",
            fate(rule),
            rule.by
        )),
        Step::Route(Route::Nowhere) => Some("there is no route".to_owned()),
        Step::AnswerBypassesNode => {
            Some("the answer does not pass this node on its way to the client".to_owned())
        }
        Step::NotForwarded => Some("this node does not forward packets".to_owned()),
        Step::AnswerNotForwarded => {
            Some("this node does not forward packets, and the answer needs it".to_owned())
        }
        Step::AnswerDropped { hook, by } => {
            Some(format!("the answer of the real server is dropped by {by} in {hook}"))
        }
        Step::FromReceiver => Some(
            "the packet arrives without masquerading from the address of its receiver, which drops it"
                .to_owned(),
        ),
        Step::NoVirtualServer => {
            Some("there is no virtual server, and no program listens".to_owned())
        }
        _ => None,
    }
}
