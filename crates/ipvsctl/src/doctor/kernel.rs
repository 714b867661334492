//! Checks of IPVS, kernel modules, kernel settings and the connection tracker.

#[cfg(test)]
mod tests;

use kernel::linux::Presence;
use model::config::DetectLocal;
use planner::UnmetSetting;

use super::facts::{BRIDGE_V4, BRIDGE_V6, Compared, NodeFacts, TRACKED, TRACKED_MAX};
use super::process::{Scope, repair};
use super::{Diagnosis, count, some};

/// Fill levels in percent at which the connection tracker is a warning and a problem.
const FULL: [u64; 2] = [75, 95];

pub(super) fn ipvs(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "ipvs";
    let diagnosis = match &facts.live {
        Some(_) => {
            let version = facts.ipvs_version.as_deref().unwrap_or("unknown");
            let release = &facts.release;
            Diagnosis::ok(
                check,
                format!("IPVS {version} of Linux {release} is available"),
            )
        }
        None => Diagnosis::problem(
            check,
            "the kernel has no IPVS, or the module ip_vs is not loaded",
            "no Service is served",
            &format!(
                "run modprobe ip_vs; if the module does not exist, install the distribution's package of kernel \
                 modules for {}, or a kernel built with CONFIG_IP_VS",
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
            format!("this kernel lacks the modules {}", some(&missing)),
            "Services that need them are not served: virtual servers with that scheduler, sets of that type, or rules that use \
             them cannot be created",
            "install the distribution's package with all modules of this kernel; for ip_vs_…, or choose another \
             ipvs.scheduler",
        )];
    }
    let known = facts.modules.len() - unknown.len();
    if known == 0 {
        return Vec::new();
    }
    let mut found = format!("{} loaded or loadable", count(known, "module"));
    if !unknown.is_empty() {
        found.push_str(&format!(
            "; unknown whether this kernel has {}",
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
    let advice = format!("if {} is needed, {}", missing.family, missing.advice());
    let why = "Services are served only in the other family";
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
        let found = "kernel settings are as kube-ipvsd needs them";
        return vec![Diagnosis::ok("settings", found)];
    }
    unmet.iter().map(|unmet| setting(facts, unmet)).collect()
}

fn setting(facts: &NodeFacts, unmet: &UnmetSetting) -> Diagnosis {
    let UnmetSetting { name, live, wanted } = unmet;
    let live = live.as_deref().unwrap_or("missing");
    let found = format!("{name} is {live}, should be {wanted}");
    let action = format!(
        "{}; if /proc/sys is read-only for kube-ipvsd, run it once with --init-only and full privileges, or set it: sysctl \
         -w {name}={wanted}",
        repair(facts, Scope::Audit)
    );
    let (is_vital, users_see) = meaning(name, wanted);
    if !is_vital {
        return Diagnosis::warning("settings", found, users_see, &action);
    }
    let services = facts.compared().map(Compared::services).unwrap_or_default();
    Diagnosis::problem("settings", found, users_see, &action)
        .about(services.into_iter().cloned().collect())
}

/// Returns true if Services cannot work without the setting, and the effect on their users.
fn meaning(name: &str, wanted: &str) -> (bool, &'static str) {
    match (name, wanted) {
        ("net.ipv4.ip_forward", _) => (
            true,
            "connections of pods and from outside to Services get no answer: the node forwards no packets",
        ),
        ("net.ipv4.vs.conntrack", _) => (
            true,
            "connections that need masquerading get no answer: connections through IPVS are not tracked",
        ),
        ("net.ipv4.vs.conn_reuse_mode", "0") => (
            false,
            "with 1 this kernel delays a client that reuses a port by a second",
        ),
        ("net.ipv4.vs.conn_reuse_mode", _) => (
            false,
            "with 0 a client that reuses a port is sent to its previous real server, even if that one drains",
        ),
        ("net.ipv4.vs.expire_nodest_conn", _) => (
            false,
            "without it clients of a deleted real server get no answer until they time out",
        ),
        ("net.ipv4.vs.expire_quiescent_template", _) => (
            false,
            "without it clients with session affinity stay with a draining real server",
        ),
        (name, _) if name.starts_with("net.ipv4.conf.all.arp_") => (
            false,
            "without it the node answers ARP for every Service address, which strictARP excludes",
        ),
        _ => (
            false,
            "conntrack.* of the configuration asks for this value",
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
        return vec![Diagnosis::ok(check, "no Linux bridge")];
    }
    let value = |name| facts.settings.get(name).map_or("missing", String::as_str);
    let off = [BRIDGE_V4, BRIDGE_V6].map(|name| (name, value(name)));
    let off: Vec<String> = off
        .iter()
        .filter(|(_, value)| *value != "1")
        .map(|(name, value)| format!("{name} is {value}, should be 1"))
        .collect();
    if off.is_empty() {
        let found = format!("packets over bridge {} pass the rules", some(&bridges));
        return vec![Diagnosis::ok(check, found)];
    }
    vec![Diagnosis::warning(
        check,
        format!(
            "packets over bridge {} bypass the rules: {}",
            some(&bridges),
            off.join(", ")
        ),
        "a pod gets no answer from a pod on the same bridge if it connects through a Service",
        "if the bridge has pods, run modprobe br_netfilter and set these settings to 1 with sysctl",
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
            format!("{tracked} tracked connections, no limit"),
        )];
    }
    let percent = tracked.saturating_mul(100) / max;
    let found = format!("{tracked} of at most {max} tracked connections, {percent} %");
    let why = "new connections get no answer once the connection tracker is full";
    let action = "raise conntrack.maxPerCore or conntrack.min; conntrack -L lists the connections";
    let diagnosis = match percent {
        percent if percent >= FULL[1] => Diagnosis::problem(check, found, why, action),
        percent if percent >= FULL[0] => Diagnosis::warning(check, found, why, action),
        _ => Diagnosis::ok(check, found),
    };
    vec![diagnosis]
}
