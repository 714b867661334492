use super::text;
use crate::doctor::{Advice, Diagnosis, Severity};

fn diagnosis(check: &'static str, severity: Severity, advised: bool) -> Diagnosis {
    let advice = Advice {
        why: "it matters".to_owned(),
        action: "do something".to_owned(),
    };
    Diagnosis {
        check,
        severity,
        code: advised.then_some(model::Code::IdleTcpForgotten),
        found: "this was found".to_owned(),
        advice: advised.then_some(advice),
    }
}

#[test]
fn diagnoses_are_printed_and_counted() {
    let text = text(
        "node1",
        &[
            diagnosis("ipvs", Severity::Ok, false),
            diagnosis("idle-tcp", Severity::Warning, true),
            diagnosis("device", Severity::Problem, true),
        ],
    );
    let expected = "\
ok       ipvs: this was found
warning  idle-tcp: this was found (KIV0403)
         why: it matters
         do:  do something
problem  device: this was found (KIV0403)
         why: it matters
         do:  do something

Node node1: 1 problem, 1 warning, 1 ok
";
    assert_eq!(anstream::adapter::strip_str(&text).to_string(), expected);
}
