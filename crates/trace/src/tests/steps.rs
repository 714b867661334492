//! The steps of a path.

use super::small::{SERVICE, parsed, rules, world};
use crate::{Balance, End, Outcome, Route, Step, Trace, trace};

/// Returns one line for each step, with the rules that matched.
fn lines(steps: &[Step]) -> Vec<String> {
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Chain(traversal) => {
                let decision = match traversal.decision {
                    Some(target) => target.to_string(),
                    None => "end".to_owned(),
                };
                let (table, chain, mark) = (traversal.table, traversal.chain, traversal.mark);
                all.push(format!("{table} {chain}: {decision}, mark {mark:#x}"));
                let matched = traversal.rules.iter().filter(|rule| rule.matched());
                all.extend(matched.map(|rule| format!("  {rule}")));
            }
            other => all.push(format!("{other:?}")),
        }
    }
    all
}

fn with<T>(servers: &str, rest: &str, probe: &str, check: impl FnOnce(&Trace) -> T) -> T {
    let (tables, world) = (parsed(servers, rest), world());
    check(&trace(&tables, &world, &probe.parse().expect("a probe")))
}

const NAT: &str = "\
-A KUBE-SERVICES -m set --match-set KUBE-X dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m set ! --match-set KUBE-X dst,dst -j DROP
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MASQUERADE";

fn tables() -> String {
    let set = "# ipset\ncreate KUBE-X hash:ip,port family inet maxelem 65536\n";
    format!("{set}add KUBE-X 10.96.0.1,tcp:80\n{}", rules(NAT, ""))
}

#[test]
fn path_has_every_hook_in_order() {
    with(SERVICE, &tables(), "podB -> 10.96.0.1:80/tcp", |trace| {
        assert_eq!(
            lines(&trace.steps),
            [
                "nat PREROUTING: end, mark 0x4000",
                "  -A PREROUTING -j KUBE-SERVICES",
                "  -A KUBE-SERVICES -m set --match-set KUBE-X dst,dst -j KUBE-MARK-MASQ",
                "  -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
                "Route(Virtual)",
                "filter INPUT: end, mark 0x4000",
                "  -A INPUT -j KUBE-IPVS-FILTER",
            ]
        );
        let End::Balanced(Balance { server, branches }) = &trace.end else {
            panic!("{:?}", trace.end);
        };
        assert_eq!(server.key.to_string(), "10.96.0.1:80/TCP");
        let [branch] = branches.as_slice() else {
            panic!("{branches:?}");
        };
        assert_eq!(
            lines(&branch.steps),
            [
                "Route(To(Bridge(\"cni0\")))",
                "filter OUTPUT: end, mark 0x4000",
                "  -A OUTPUT -j KUBE-IPVS-OUT-FILTER",
                "nat POSTROUTING: -j MASQUERADE, mark 0x4000",
                "  -A POSTROUTING -j KUBE-POSTROUTING",
                "  -A KUBE-POSTROUTING -j MASQUERADE",
                "Masqueraded(Some(10.244.1.1))",
            ]
        );
    });
}

#[test]
fn rules_have_the_tested_sets_and_the_condition_that_failed() {
    with(SERVICE, &tables(), "podB -> 10.96.0.1:80/tcp", |trace| {
        let Some(Step::Chain(traversal)) = trace.steps.first() else {
            panic!("{:?}", trace.steps);
        };
        let tested: Vec<_> = (traversal.rules.iter())
            .flat_map(|rule| rule.sets.iter().map(move |test| (rule.matched(), test)))
            .map(|(matched, test)| (matched, test.set.as_str(), &*test.element, test.found))
            .collect();
        let element = "10.96.0.1,tcp:80";
        assert_eq!(
            tested,
            [
                (true, "KUBE-X", element, true),
                (false, "KUBE-X", element, true)
            ]
        );
        let failed = traversal.rules.iter().find_map(|rule| rule.failed);
        let failed = failed.map(ToString::to_string);
        assert_eq!(
            failed.as_deref(),
            Some("-m set ! --match-set KUBE-X dst,dst")
        );
    });
}

#[test]
fn a_path_that_cannot_be_judged_keeps_its_steps() {
    let strange = rules("-A KUBE-SERVICES -m owner --uid-owner 0 -j DROP", "");
    with(SERVICE, &strange, "podB -> 10.96.0.1:80/tcp", |trace| {
        let [Step::Chain(traversal)] = trace.steps.as_slice() else {
            panic!("{:?}", trace.steps);
        };
        assert_eq!(traversal.rules.len(), 1);
        assert!(matches!(trace.end, End::Unjudged(_)), "{:?}", trace.end);
    });
}

#[test]
fn real_servers_of_weight_zero_are_branches_without_result() {
    let servers = SERVICE.replace("-w 1", "-w 0");
    with(&servers, "", "podB -> 10.96.0.1:80/tcp", |trace| {
        let End::Balanced(balance) = &trace.end else {
            panic!("{:?}", trace.end);
        };
        assert_eq!(balance.branches.len(), 1);
        assert!(
            balance
                .branches
                .iter()
                .all(|branch| branch.outcome.is_none())
        );
        let verdict = trace.verdict().expect("a verdict");
        assert_eq!(verdict.to_string(), "unreachable port");
    });
}

#[test]
fn packets_of_the_node_are_routed_first() {
    with("", "", "host -> 203.0.113.1:80/tcp", |trace| {
        assert_eq!(trace.steps, [Step::Route(Route::Nowhere)]);
        let expected = End::Outcome(Outcome::Unreachable("host".to_owned()));
        assert_eq!(trace.end, expected);
    });
    with("", "", "podA -> 10.244.1.5:8080/tcp", |trace| {
        assert_eq!(trace.steps, [Step::WithinPod]);
    });
}

#[test]
fn nested_jumps_have_a_limit() {
    let rules = rules("-A KUBE-SERVICES -j KUBE-SERVICES", "");
    with("", &rules, "podB -> 10.96.0.1:80/tcp", |trace| {
        let error = trace.verdict().expect_err("a loop");
        assert_eq!(error.to_string(), "cannot judge more than 16 nested jumps");
    });
}
