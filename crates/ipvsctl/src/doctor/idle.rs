//! Checks of the timeouts of idle connections (deviation D19).

#[cfg(test)]
mod tests;

use model::config::{KERNEL_TIMEOUT_MAX, KernelSettings, TcpTimeout};
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
        |_, _| {
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
    mend: impl Fn(&IdleTimes, &KernelSettings) -> String,
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
        action: mend(&times, &facts.config.kernel_settings),
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

fn mend_tcp(times: &IdleTimes, settings: &KernelSettings) -> String {
    let keepalive = times.keepalive.unwrap_or_default();
    let longest = KERNEL_TIMEOUT_MAX.as_secs();
    if keepalive > longest {
        return format!(
            "set net.ipv4.tcp_keepalive_time of the node below {longest} s, the longest timeout of IPVS"
        );
    }
    let is_short = |time: Option<u64>| time.is_some_and(|seconds| seconds < keepalive);
    let matches = settings.timeouts.tcp == TcpTimeout::MatchKeepalive;
    let conntrack_is_left = settings.conntrack.tcp_established_timeout.is_zero();
    let mut actions = Vec::new();
    if is_short(times.ipvs_tcp) && !matches {
        actions.push("set ipvs.tcpTimeout: matchKeepalive".to_owned());
    }
    if is_short(times.tracked_tcp) && (conntrack_is_left || !matches) {
        actions.push(format!(
            "set conntrack.tcpEstablishedTimeout above {keepalive} s"
        ));
    }
    if actions.is_empty() {
        return "start kube-ipvsd, which sets the timeouts for ipvs.tcpTimeout: matchKeepalive"
            .to_owned();
    }
    let shorter = times.tcp().unwrap_or_default();
    format!(
        "{}, or set net.ipv4.tcp_keepalive_time in the pods below {shorter} s",
        actions.join(" and ")
    )
}
