use super::*;
use crate::targets::{self, Target};

/// A target over the corpus of `ipvsadm-save` text.
fn target(check: fn(&[u8]) -> Result<(), String>) -> Target {
    Target {
        check,
        ..*targets::named("ipvsadm").expect("a target")
    }
}

/// Every target keeps its promises on the first inputs of seed 1.
#[test]
fn a_short_round_of_each_target_finds_nothing() {
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
fn a_panic_is_found_once_and_made_small() {
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
fn a_number_and_a_seed_give_the_input_again() {
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
