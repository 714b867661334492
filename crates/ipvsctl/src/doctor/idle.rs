//! Checks of the timeouts of idle connections (deviation D19).

#[cfg(test)]
mod tests;

use model::{Code, Finding, Snapshot};
use planner::IdleTimes;

use super::facts::NodeFacts;
use super::{Advice, Diagnosis};

pub(super) fn tcp(facts: &NodeFacts) -> Vec<Diagnosis> {
    let describe = |times: &IdleTimes| {
        let keepalive = match times.keepalive {
            Some(seconds) => format!("TCP keepalive of this node starts after {seconds} s"),
            None => "TCP keepalive of this node is unknown".to_owned(),
        };
        let both = both(times.ipvs_tcp, times.tracked_tcp)?;
        Some(format!(
            "idle TCP connections expire after {both}; {keepalive}"
        ))
    };
    check(
        facts,
        "idle-tcp",
        Code::IdleTcpForgotten,
        describe,
        mend_tcp,
    )
}

pub(super) fn udp(facts: &NodeFacts) -> Vec<Diagnosis> {
    let describe = |times: &IdleTimes| {
        let both = both(times.ipvs_udp, times.tracked_udp)?;
        Some(format!("idle UDP flows expire after {both}"))
    };
    check(
        facts,
        "idle-udp",
        Code::UdpTrackedTooBriefly,
        describe,
        |_| {
            "if flows must last, set conntrack.udpStreamTimeout to ipvs.udpTimeout or above"
                .to_owned()
        },
    )
}

/// Checks one pair of timeouts. The planner's finding decides the severity.
fn check(
    facts: &NodeFacts,
    check: &'static str,
    code: Code,
    describe: impl Fn(&IdleTimes) -> Option<String>,
    mend: impl Fn(&IdleTimes) -> String,
) -> Vec<Diagnosis> {
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let times = IdleTimes::of(live);
    let Some(found) = describe(&times) else {
        return Vec::new();
    };
    let diagnosis = Diagnosis::ok(check, found);
    let Some(finding) = finding(live, facts, code) else {
        return vec![diagnosis];
    };
    let advice = Advice {
        users_see: finding.consequence,
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

/// Returns both timeouts as text, the shorter one first.
fn both(ipvs: Option<u64>, tracked: Option<u64>) -> Option<String> {
    Some(match (ipvs, tracked) {
        (Some(ipvs), Some(tracked)) if ipvs <= tracked => {
            format!("{ipvs} s in IPVS ({tracked} s in the connection tracker)")
        }
        (Some(ipvs), Some(tracked)) => {
            format!("{tracked} s in the connection tracker ({ipvs} s in IPVS)")
        }
        (Some(ipvs), None) => format!("{ipvs} s in IPVS"),
        (None, Some(tracked)) => format!("{tracked} s in the connection tracker"),
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
        "set {} above {keepalive} s, or net.ipv4.tcp_keepalive_time in the pods below {} s",
        short.join(" and "),
        times.tcp().unwrap_or_default()
    )
}
