//! IPVS itself, modules, settings, and the connection tracker.

#[cfg(test)]
mod tests;

use kernel::linux::Presence;
use model::config::DetectLocal;
use planner::UnmetSetting;

use super::facts::{BRIDGE_V4, BRIDGE_V6, NodeFacts, TRACKED, TRACKED_MAX};
use super::{Diagnosis, count, some};

/// From how full a table on, in percent, it is a warning; and from how full on, a problem.
const FULL: [u64; 2] = [75, 95];

pub(super) fn ipvs(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "ipvs";
    let diagnosis = match &facts.live {
        Some(_) => {
            let version = facts.ipvs_version.as_deref().unwrap_or("unknown");
            let release = &facts.release;
            Diagnosis::ok(
                check,
                format!("version {version} of Linux {release} answers"),
            )
        }
        None => Diagnosis::problem(
            check,
            "the kernel has no IPVS, or its module is not loaded",
            "without IPVS no Service is served",
            &format!(
                "modprobe ip_vs; where there is none, install the distribution's package of kernel modules for {}, \
                 or a kernel built with CONFIG_IP_VS",
                facts.release
            ),
        ),
    };
    vec![diagnosis]
}

pub(super) fn modules(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "modules";
    let of = |wanted: Presence| {
        let modules = facts.modules.iter();
        let modules = modules.filter(move |(_, presence)| **presence == wanted);
        modules.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let (missing, unknown) = (of(Presence::Missing), of(Presence::Unknown));
    if !missing.is_empty() {
        return vec![Diagnosis::problem(
            check,
            format!("this kernel has no {}", some(&missing)),
            "virtual servers of that scheduler, sets of that type, or rules that use it cannot be made",
            "install the distribution's package with all modules of this kernel; for ip_vs_…, choose another \
             ipvs.scheduler",
        )];
    }
    let known = facts.modules.len() - unknown.len();
    if known == 0 {
        return Vec::new();
    }
    let mut found = format!("{} loaded or to be loaded", count(known, "module"));
    if !unknown.is_empty() {
        found.push_str(&format!(
            "; whether this kernel has {} is not to be seen here",
            some(&unknown)
        ));
    }
    vec![Diagnosis::ok(check, found)]
}

/// Reports a family that the node cannot serve.
pub(super) fn families(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "families";
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let Some(missing) = &live.node.missing else {
        return vec![Diagnosis::ok(check, "IPv4 and IPv6 can be served")];
    };
    let finding = missing.finding(&facts.config.node_name);
    let advice = format!("where {} is wanted, {}", missing.family, missing.advice());
    let why = "Services are served in the other family alone";
    vec![Diagnosis {
        code: Some(finding.code),
        ..Diagnosis::warning(check, finding.problem, why, &advice)
    }]
}

pub(super) fn settings(facts: &NodeFacts) -> Vec<Diagnosis> {
    let Some(live) = facts.live.as_ref() else {
        return Vec::new();
    };
    let unmet = planner::unmet_settings(live, &facts.config);
    if unmet.is_empty() {
        let found = "the kernel's settings are what kube-ipvsd wants";
        return vec![Diagnosis::ok("settings", found)];
    }
    unmet.iter().map(setting).collect()
}

fn setting(unmet: &UnmetSetting) -> Diagnosis {
    let UnmetSetting { name, live, wanted } = unmet;
    let live = live.as_deref().unwrap_or("not there");
    let found = format!("{name} is {live}, should be {wanted}");
    let action = "kube-ipvsd sets it when it starts and at each audit; where /proc/sys is read-only to it, \
                  run it once with --init-only and all rights, or set it by sysctl";
    let (is_vital, why) = meaning(name, wanted);
    if is_vital {
        Diagnosis::problem("settings", found, why, action)
    } else {
        Diagnosis::warning("settings", found, why, action)
    }
}

/// Returns true if Services cannot work without the setting, and the purpose of the setting.
fn meaning(name: &str, wanted: &str) -> (bool, &'static str) {
    match (name, wanted) {
        ("net.ipv4.ip_forward", _) => (true, "otherwise the node forwards nothing to pods"),
        ("net.ipv4.vs.conntrack", _) => (
            true,
            "otherwise the connection tracker does not see what IPVS does, and nothing is masqueraded",
        ),
        ("net.ipv4.vs.conn_reuse_mode", "0") => (
            false,
            "with 1 a client of this kernel that uses a port again waits for a second",
        ),
        ("net.ipv4.vs.conn_reuse_mode", _) => (
            false,
            "with 0 a client that uses a port again is sent to the real server of before, even one that drains",
        ),
        ("net.ipv4.vs.expire_nodest_conn", _) => (
            false,
            "otherwise clients of a real server that is gone get no answer until they time out",
        ),
        ("net.ipv4.vs.expire_quiescent_template", _) => (
            false,
            "otherwise clients with affinity stay with a real server that drains",
        ),
        (name, _) if name.starts_with("net.ipv4.conf.all.arp_") => (
            false,
            "otherwise the node answers ARP for every Service address: strictARP asks that it does not",
        ),
        _ => (
            false,
            "it is what conntrack.* of the configuration asks for",
        ),
    }
}

pub(super) fn bridge(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "bridge";
    let mut bridges = facts.bridges.clone();
    if let DetectLocal::BridgeInterface(bridge) = &facts.config.detect_local {
        bridges.insert(bridge.clone());
    }
    let bridges: Vec<String> = bridges.iter().map(ToString::to_string).collect();
    if bridges.is_empty() {
        return vec![Diagnosis::ok(check, "there is no Linux bridge")];
    }
    let value = |name| facts.settings.get(name).map_or("not there", String::as_str);
    let off = [BRIDGE_V4, BRIDGE_V6].map(|name| (name, value(name)));
    let off: Vec<String> = off
        .iter()
        .filter(|(_, value)| *value != "1")
        .map(|(name, value)| format!("{name} is {value}, should be 1"))
        .collect();
    if off.is_empty() {
        let found = format!("what goes over {} passes by the rules", some(&bridges));
        return vec![Diagnosis::ok(check, found)];
    }
    vec![Diagnosis::warning(
        check,
        format!("there is the bridge {}: {}", some(&bridges), off.join(", ")),
        "where pods are on a bridge, a pod that reaches one beside it through a Service gets no answer",
        "where pods are on it: modprobe br_netfilter, and set it to 1 by sysctl",
    )]
}

pub(super) fn tracked(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "conntrack";
    let (Some(tracked), Some(max)) = (facts.number(TRACKED), facts.number(TRACKED_MAX)) else {
        return Vec::new();
    };
    if max == 0 {
        return vec![Diagnosis::ok(
            check,
            format!("{tracked} connections, no limit"),
        )];
    }
    let percent = tracked.saturating_mul(100) / max;
    let found = format!("{tracked} of at most {max} connections are tracked, {percent} %");
    let why = "once it is full, packets of new connections are dropped";
    let action =
        "raise conntrack.maxPerCore or conntrack.min; conntrack -L says whose connections they are";
    let diagnosis = match percent {
        percent if percent >= FULL[1] => Diagnosis::problem(check, found, why, action),
        percent if percent >= FULL[0] => Diagnosis::warning(check, found, why, action),
        _ => Diagnosis::ok(check, found),
    };
    vec![diagnosis]
}
