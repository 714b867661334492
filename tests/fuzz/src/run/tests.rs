use super::*;
use crate::targets::{self, Target};

/// Returns a target with the corpus of `ipvsadm-save` text.
fn target(check: fn(&[u8]) -> Result<(), String>) -> Target {
    Target {
        check,
        ..*targets::named("ipvsadm").expect("a target")
    }
}

/// Runs the first inputs of seed 1 of every target.
#[test]
fn short_round_of_each_target_has_no_failure() {
    let mut found = Vec::new();
    for target in targets::ALL {
        let outcome = run(target, 1, Until::Inputs(target.short_round)).expect("a corpus");
        assert!(outcome.inputs == target.short_round || !outcome.failures.is_empty());
        let failures = outcome.failures.iter();
        found.extend(failures.map(|failure| format!("{}: {failure}", target.name)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn panic_is_reported_once_and_reduced() {
    let target = target(|input| {
        assert!(!input.contains(&b'9'), "a nine");
        Ok(())
    });
    let outcome = run(&target, 1, Until::Inputs(2_000)).expect("a corpus");
    let [failure] = outcome.failures.as_slice() else {
        panic!("{:?}", outcome.failures);
    };
    assert_eq!(failure.input, b"9");
    assert!(
        failure.problem.contains("run/tests.rs"),
        "{}",
        failure.problem
    );
    assert!(failure.problem.ends_with("a nine"), "{}", failure.problem);
}

#[test]
fn number_and_seed_repeat_the_input() {
    let target = target(|input| match input.iter().any(|byte| *byte > 0x7f) {
        true => Err("not ASCII".to_owned()),
        false => Ok(()),
    });
    let outcome = run(&target, 7, Until::Inputs(2_000)).expect("a corpus");
    let [failure] = outcome.failures.as_slice() else {
        panic!("{:?}", outcome.failures);
    };
    assert_eq!(failure.input.len(), 1);
    let number = failure.number.expect("the corpus is ASCII");
    let again = replay(&target, 7, number).expect("a corpus");
    assert_eq!(again.problem, Some("not ASCII".to_owned()));
    assert!(again.input.len() >= failure.input.len());
}
