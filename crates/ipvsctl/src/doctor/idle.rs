//! The times for which idle connections are known (deviation D19).

#[cfg(test)]
mod tests;

use model::{Code, Finding, Snapshot};
use planner::IdleTimes;

use super::facts::NodeFacts;
use super::{Advice, Diagnosis};

pub(super) fn tcp(facts: &NodeFacts) -> Vec<Diagnosis> {
    let told = |times: &IdleTimes| {
        let keepalive = match times.keepalive {
            Some(seconds) => format!("this node's keepalive begins after {seconds} s"),
            None => "this node's keepalive is not known".to_owned(),
        };
        let both = both(times.ipvs_tcp, times.tracked_tcp)?;
        Some(format!(
            "an idle TCP connection is forgotten {both}; {keepalive}"
        ))
    };
    check(facts, "idle-tcp", Code::IdleTcpForgotten, told, mend_tcp)
}

pub(super) fn udp(facts: &NodeFacts) -> Vec<Diagnosis> {
    let told = |times: &IdleTimes| {
        let both = both(times.ipvs_udp, times.tracked_udp)?;
        Some(format!("an idle UDP flow is forgotten {both}"))
    };
    check(facts, "idle-udp", Code::UdpTrackedTooBriefly, told, |_| {
        "where flows must last, set conntrack.udpStreamTimeout to ipvs.udpTimeout or above"
            .to_owned()
    })
}

/// Checks one pair of times; the planner's finding decides the severity.
fn check(
    facts: &NodeFacts,
    check: &'static str,
    code: Code,
    told: impl Fn(&IdleTimes) -> Option<String>,
    mend: impl Fn(&IdleTimes) -> String,
) -> Vec<Diagnosis> {
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let times = IdleTimes::of(live);
    let Some(found) = told(&times) else {
        return Vec::new();
    };
    let diagnosis = Diagnosis::ok(check, found);
    let Some(finding) = finding(live, facts, code) else {
        return vec![diagnosis];
    };
    let advice = Advice {
        why: finding.consequence,
        action: mend(&times),
    };
    vec![Diagnosis {
        severity: code.level().into(),
        code: Some(code),
        advice: Some(advice),
        ..diagnosis
    }]
}

fn finding(live: &Snapshot, facts: &NodeFacts, code: Code) -> Option<Finding> {
    let findings = planner::idle_timeouts(live, &facts.config.node_name).into_iter();
    { findings }.find(|finding| finding.code == code)
}

/// The two times, and which of them counts.
fn both(ipvs: Option<u64>, tracked: Option<u64>) -> Option<String> {
    Some(match (ipvs, tracked) {
        (Some(ipvs), Some(tracked)) if ipvs <= tracked => {
            format!("after {ipvs} s, by IPVS (by the connection tracker after {tracked} s)")
        }
        (Some(ipvs), Some(tracked)) => {
            format!("after {tracked} s, by the connection tracker (by IPVS after {ipvs} s)")
        }
        (Some(ipvs), None) => format!("after {ipvs} s, by IPVS"),
        (None, Some(tracked)) => format!("after {tracked} s, by the connection tracker"),
        (None, None) => return None,
    })
}

fn mend_tcp(times: &IdleTimes) -> String {
    let keepalive = times.keepalive.unwrap_or_default();
    let fields = [
        ("ipvs.tcpTimeout", times.ipvs_tcp),
        ("conntrack.tcpEstablishedTimeout", times.tracked_tcp),
    ];
    let short = fields
        .iter()
        .filter(|(_, seconds)| seconds.is_some_and(|seconds| seconds < keepalive));
    let short: Vec<&str> = short.map(|(field, _)| *field).collect();
    format!(
        "set {} above {keepalive} s, or in the pods net.ipv4.tcp_keepalive_time below {} s",
        short.join(" and "),
        times.tcp().unwrap_or_default()
    )
}
