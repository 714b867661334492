use sources::proxy::Running;

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{action, check, check_advice, healthy, process, without_daemon};
use crate::input::running::{Manager, State};

/// Stops the process of kube-ipvsd, which then does not answer.
fn stopped(facts: &mut NodeFacts) {
    without_daemon(facts);
    facts.daemons = vec![process("kube-ipvsd", State::Stopped)];
}

/// Lets the process of kube-ipvsd run without an answer.
fn hung(facts: &mut NodeFacts) {
    stopped(facts);
    facts.daemons[0].state = State::Running;
}

#[test]
fn stopped_and_hung_daemons_are_problems() {
    check("process", |_| {}, &["ok: kube-ipvsd is process 7"]);
    let expected = ["problem: kube-ipvsd (process 7) is stopped by a signal or a debugger"];
    check("process", stopped, &expected);
    let expected = ["problem: kube-ipvsd (process 7) runs but does not answer"];
    check("process", hung, &expected);
    // The check `process` reports it.
    check("proxies", hung, &[]);
    check("process", without_daemon, &[]);
    for change in [stopped, hung] {
        let mut facts = healthy();
        change(&mut facts);
        check_advice(&facts);
    }
}

#[test]
fn advice_names_the_command_of_the_manager() {
    assert!(action("process", stopped).contains("kill -CONT 7"));
    let advice = action("process", hung);
    assert!(
        advice.contains("kubectl -n kube-system delete pod"),
        "{advice}"
    );
    assert!(advice.ends_with("name it by --metrics-address"), "{advice}");
    let by_systemd = |facts: &mut NodeFacts| {
        hung(facts);
        facts.daemons[0].manager = Manager::Systemd("kube-ipvsd.service".to_owned());
    };
    let advice = action("process", by_systemd);
    assert!(
        advice.contains("systemctl restart kube-ipvsd.service"),
        "{advice}"
    );
}

#[test]
fn second_proxies_are_problems() {
    let two = |facts: &mut NodeFacts| facts.daemons.push(process("kube-ipvsd", State::Running));
    let ok = "ok: kube-ipvsd is process 7";
    let expected = [
        ok,
        ok,
        "problem: more than one kube-ipvsd runs: processes 7, 7",
    ];
    check("process", two, &[expected[2], ok, ok]);
    let beside = |facts: &mut NodeFacts| {
        facts
            .kube_proxies
            .push(process("kube-proxy", State::Running));
        let elsewhere = "127.0.0.1:20249".parse().expect("an address");
        facts
            .proxies
            .push((elsewhere, Running::KubeProxy("ipvs".to_owned())));
    };
    let proxy = "problem: kube-proxy runs on this node: process 7";
    check("process", beside, &[proxy, ok]);
    let mut facts = healthy();
    beside(&mut facts);
    check_advice(&facts);
}
