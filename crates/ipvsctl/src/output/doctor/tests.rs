use std::collections::BTreeSet;

use model::ObjectName;

use super::{Detail, text};
use crate::doctor::{Advice, Diagnosis, Report, Severity};

fn diagnosis(check: &'static str, severity: Severity, services: usize) -> Diagnosis {
    let advised = severity != Severity::Ok;
    let advice = Advice {
        users_see: "refused connections".to_owned(),
        action: "do something".to_owned(),
    };
    let services = (0..services).map(|number| ObjectName::new("shop", format!("app{number}")));
    let services: BTreeSet<ObjectName> = services.collect();
    Diagnosis {
        check,
        severity,
        code: (severity == Severity::Warning).then_some(model::Code::IdleTcpForgotten),
        found: "this was found".to_owned(),
        details: (0..services.len())
            .map(|number| format!("entry {number}"))
            .collect(),
        services,
        advice: advised.then_some(advice),
    }
}

fn report() -> Report {
    Report {
        node_name: "node1".to_owned(),
        diagnoses: vec![
            diagnosis("virtual-servers", Severity::Problem, 7),
            diagnosis("idle-tcp", Severity::Warning, 0),
            diagnosis("ipvs", Severity::Ok, 0),
        ],
        services: Some(1_000),
    }
}

fn printed(report: &Report, detail: Detail) -> String {
    anstream::adapter::strip_str(&text(report, detail)).to_string()
}

#[test]
fn problems_are_blocks_and_the_last_line_is_the_verdict() {
    let expected = "\
problem  virtual-servers: this was found
           entry 0
           entry 1
           entry 2
           entry 3
           entry 4
           and 2 more
         Services:  shop/app0, shop/app1, shop/app2, shop/app3, shop/app4 and 2 more
         users see: refused connections
         do:        do something
warning  idle-tcp: this was found (KIV0403)
         users see: refused connections
         do:        do something
ok       1 other check (-o wide lists it)

verdict: 1 problem, 1 warning: 7 of 1,000 Services are not served as they should be (node node1)
";
    assert_eq!(printed(&report(), Detail::Bad), expected);
}

#[test]
fn wide_output_lists_everything() {
    let wide = printed(&report(), Detail::All);
    assert!(
        wide.contains("           entry 6\n") && wide.contains("ok       ipvs: this was found\n"),
        "{wide}"
    );
}

#[test]
fn verdicts_name_the_state_of_the_services() {
    let mut report = report();
    report.diagnoses.truncate(1);
    report.services = None;
    let unknown = "1 problem: the desired tables are unknown, so no Service was compared";
    assert_eq!(report.verdict(), unknown);
    report.diagnoses.clear();
    report.services = Some(1_000);
    let healthy = "healthy: all 1,000 Services are served as they should be";
    assert_eq!(report.verdict(), healthy);
    report.services = Some(1);
    assert_eq!(
        report.verdict(),
        "healthy: the Service is served as it should be"
    );
    report.diagnoses = vec![diagnosis("rules", Severity::Problem, 1)];
    let one = "1 problem: 1 of 1 Service is not served as it should be";
    assert_eq!(report.verdict(), one);
}
