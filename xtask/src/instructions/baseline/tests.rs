use super::*;

fn baseline(counts: &[(&str, u64)]) -> Baseline {
    Baseline {
        tools: tools("1.95.0"),
        instructions: (counts.iter())
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect(),
    }
}

fn tools(rustc: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("rustc".to_owned(), rustc.to_owned())])
}

#[test]
fn two_percent_each_way_are_allowed() {
    let baseline = baseline(&[("diff/10", 10_000)]);
    let check = |counted| baseline.judge("diff/10", counted);
    for counted in [9_800, 9_999, 10_000, 10_200] {
        assert!(check(counted).is_ok(), "{counted}");
    }
    let why = check(10_201).unwrap_err();
    assert!(
        why.contains("10,201 instructions, +2.01 % against the baseline's 10,000"),
        "{why}"
    );
    let why = check(9_799).unwrap_err();
    assert!(
        why.contains("-2.01 %") && why.contains("2 % fewer") && why.contains(BLESS),
        "{why}"
    );
}

#[test]
fn the_largest_counts_do_not_overflow() {
    let baseline = baseline(&[("diff", u64::MAX)]);
    assert!(baseline.judge("diff", u64::MAX).is_ok());
    assert!(baseline.judge("diff", 1).is_err());
}

#[test]
fn a_workload_that_the_baseline_lacks_fails() {
    let why = baseline(&[]).judge("diff", 5).unwrap_err();
    assert!(
        why.contains("not in the baseline") && why.contains(BLESS),
        "{why}"
    );
}

#[test]
fn baseline_entries_without_workload_are_named() {
    let baseline = baseline(&[("gone", 1), ("here", 1)]);
    let names = ["here".to_owned()];
    let alone: Vec<&String> = baseline.without_workload(&names).collect();
    assert_eq!(alone, ["gone"]);
}

#[test]
fn printed_baseline_parses() {
    let baseline = baseline(&[("compile/1000x10", 43_871_736), ("diff-equal", 7)]);
    let text = baseline.print();
    assert!(
        text.contains("\"compile/1000x10\" = 43_871_736\n"),
        "{text}"
    );
    assert_eq!(Baseline::parse(&text), Ok(baseline));
}

#[test]
fn invalid_file_is_an_error_with_the_place() {
    let check = |text: &str, expected: &str| {
        let why = Baseline::parse(text).unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    check(
        "[instructions]\ndiff = 0",
        "diff has no number of instructions",
    );
    check(
        "[instructions]\ndiff = -3",
        "diff has no number of instructions",
    );
    check(
        "[instructions]\ndiff = 'many'",
        "diff has no number of instructions",
    );
    check("[tools]\nrustc = 1", "the version of rustc is not a string");
    check("[counts]\ndiff = 3", "[counts] is unknown");
    check("diff = 3", "diff is not a table");
    check("[instructions", "line 1");
}

#[test]
fn different_tools_are_named() {
    let known = baseline(&[]);
    assert_eq!(known.tools_that_differ(&tools("1.95.0")), "");
    let remark = known.tools_that_differ(&tools("1.96.0"));
    assert!(remark.contains("rustc 1.95.0 then, 1.96.0 now"), "{remark}");
}

#[test]
fn numbers_are_grouped_by_three() {
    let all = [0, 999, 1_000, 123_456, 1_234_567].map(|number| grouped(number, ','));
    assert_eq!(all, ["0", "999", "1,000", "123,456", "1,234,567"]);
}
