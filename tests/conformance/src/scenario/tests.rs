use super::{Scenario, bless, check};

const SERVICE: &str = "\
-- web.yaml --
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIPs: [10.96.0.10]
  ports: [{port: 80, protocol: TCP}]
";

/// Returns a scenario with `steps`, which may use web.yaml.
fn text(steps: &str) -> String {
    format!("# A feature.\n{steps}{SERVICE}")
}

fn refused(text: &str, expected: &str) {
    let problem = Scenario::parse("x.scenario", text).expect_err("it is refused");
    assert_eq!(problem.to_string(), format!("x.scenario:{expected}"));
}

fn fails(steps: &str, expected: &str) {
    let scenario = Scenario::parse("x.scenario", &text(steps)).expect("it is a scenario");
    let problem = check(&scenario).expect_err("it fails").to_string();
    assert!(
        problem.starts_with(&format!("x.scenario:{expected}")),
        "{problem}"
    );
}

fn holds(steps: &str) {
    let scenario = Scenario::parse("x.scenario", &text(steps)).expect("it is a scenario");
    assert_eq!(
        check(&scenario).map_err(|problem| problem.to_string()),
        Ok(())
    );
}

#[test]
fn scenario_needs_a_comment() {
    refused(
        "apply web.yaml\n",
        "1: the file must start with a comment that describes it",
    );
}

#[test]
fn invalid_step_is_refused_with_its_line() {
    refused(&text("\nfrobnicate\n"), "3: unknown step `frobnicate`");
    refused(
        &text("tables ipv\n"),
        "2: unknown section `ipv`, expected one of ipvs, addresses, ipset, ipset-create, rules4, rules6, sysctl, timeouts, sync",
    );
    refused(&text("sync now\n"), "2: unexpected `now`");
    refused(
        &text("connections web\n"),
        "2: `web` is not an address with a port",
    );
    refused(
        &text("delete Service web\n"),
        "2: expected NAMESPACE/NAME, for a Node NAME",
    );
    refused(&text("health /x/\n"), "2: health takes no /filter/");
}

#[test]
fn every_file_must_be_used_and_exist() {
    refused(&text("health\n"), "3: no step uses web.yaml");
    refused(
        &text("apply web.yaml shop.yaml\nhealth\n"),
        "2: missing file shop.yaml",
    );
    refused(
        &format!("{}{SERVICE}", text("apply web.yaml\nhealth\n")),
        "11: duplicate file web.yaml",
    );
}

#[test]
fn scenario_needs_an_expectation() {
    refused(
        &text("apply web.yaml\nsync\nsame\n"),
        "1: the scenario has no expectation",
    );
    refused(
        &text("apply web.yaml\n    10.96.0.10/32\n"),
        "3: this line belongs to no step with an expectation",
    );
    fails(
        "apply web.yaml\ntables addresses\n",
        "3: no expectation is written yet",
    );
}

#[test]
fn output_is_compared_with_the_expectation() {
    holds(
        "apply web.yaml\ntables ipvs addresses\n    -A -t 10.96.0.10:80 -s rr\n    10.96.0.10/32\n",
    );
    holds("apply web.yaml\ntables ipvs addresses /32$/\n    10.96.0.10/32\n");
    holds(
        "apply web.yaml\ntables addresses\n    10.96.0.10/32\ndelete web.yaml\ntables addresses\n    nothing\n",
    );
    fails(
        "apply web.yaml\ntables addresses\n    10.96.0.11/32\n",
        "3: not as expected (- expected, + shown)\n- 10.96.0.11/32\n+ 10.96.0.10/32",
    );
    fails(
        "apply web.yaml\ntables addresses\n    nothing\n",
        "3: not as expected",
    );
}

#[test]
fn same_compares_with_the_last_tables() {
    holds("apply web.yaml\ntables addresses\n    10.96.0.10/32\napply web.yaml\nsame\n");
    fails(
        "apply web.yaml\ntables addresses\n    10.96.0.10/32\ndelete Service default/web\nsame\n",
        "6: the tables changed",
    );
    fails(
        "apply web.yaml\nsame\nhealth\n    nothing\n",
        "3: no `tables` before",
    );
}

#[test]
fn plan_step_applies_the_plan() {
    holds(
        "apply web.yaml\nplan /web|10.96/\n    + add 10.96.0.10,tcp:80 to set KUBE-CLUSTER-IP: missing in the kernel\n    + add 10.96.0.10 to set KUBE-IPVS-IPS: missing in the kernel\n    + add address 10.96.0.10 to kube-ipvs0: missing in the kernel\n    + add virtual server 10.96.0.10:80/TCP: missing in the kernel\nkernel addresses\n    10.96.0.10/32\nplan\n    nothing\n",
    );
}

#[test]
fn missing_object_cannot_be_deleted() {
    fails(
        "apply web.yaml\ndelete Service default/shop\nhealth\n    nothing\n",
        "3: there is no Service default/shop",
    );
}

#[test]
fn mistake_in_a_file_is_reported_with_its_line() {
    let broken = text("apply web.yaml\nhealth\n    nothing\n").replace("ports: [", "ports: {");
    let scenario = Scenario::parse("x.scenario", &broken).expect("it is a scenario");
    let problem = check(&scenario).expect_err("it fails").to_string();
    let place = problem.split(' ').next().unwrap_or_default();
    assert!(
        ["x.scenario:11:", "x.scenario:12:"].contains(&place),
        "{problem}"
    );
    assert!(problem.contains(" web.yaml: "), "{problem}");
}

#[test]
fn blessing_writes_only_the_output() {
    let before = text("apply web.yaml\n# why\ntables addresses\n    old\n    older\n\nhealth\n");
    let after =
        text("apply web.yaml\n# why\ntables addresses\n    10.96.0.10/32\n\nhealth\n    nothing\n");
    for text in [&before, &after] {
        let scenario = Scenario::parse("x.scenario", text).expect("it is a scenario");
        assert_eq!(bless(&scenario, text).as_ref(), Ok(&after));
    }
}
