use super::*;

fn counts(passed: u64, failed: u64, ignored: u64) -> Counts {
    Counts {
        passed,
        failed,
        ignored,
        reasons: Vec::new(),
    }
}

const TWO: &str = "\
running 2 tests
test a ... ok
test b ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 4 tests
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 12.34s
";

#[test]
fn result_lines_are_summed() {
    assert_eq!(Counts::of_output(TWO), counts(4, 1, 1));
}

#[test]
fn other_lines_are_not_counted() {
    let check = |text: &str| assert_eq!(Counts::of_output(text), Counts::default(), "{text}");
    check("");
    check("a test result: ok. 3 passed; 0 failed; 1 ignored");
    check("test result: ok. many passed; 0 failed; 1 ignored");
    check("test result: ok");
}

#[test]
fn a_program_that_dies_has_a_failed_test() {
    assert_eq!(Counts::of_program("", false), counts(0, 1, 0));
    assert_eq!(Counts::of_program("", true), counts(0, 0, 0));
    assert_eq!(Counts::of_program(TWO, false), counts(4, 1, 1));
}

#[test]
fn outputs_of_failed_tests_are_kept() {
    let output = "\
test a ... FAILED

failures:

---- a stdout ----
left: 1

right: 2
---- b ----
no answer

failures:
    a
    b

test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
---- not of a test ----
";
    let expected = ["a stdout\n  left: 1\n  right: 2", "b\n  no answer"];
    assert_eq!(Counts::of_output(output).reasons, expected);
}
