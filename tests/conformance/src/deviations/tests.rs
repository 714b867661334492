use crate::difference::{Difference, Side};
use crate::section::Section;

use super::Deviations;

const ENTRY: &str = r#"
[[difference]]
scenario = "49-*"
section = "ipvs"
side = "ours"
lines = ["-A -t [fd00::1]:80 *", "-A -f *"]
deviation = "D13"
reason = "foreign"
"#;

fn difference(section: Section, side: Side, line: &str) -> Difference {
    Difference {
        section,
        side,
        line: line.to_owned(),
    }
}

fn check(name: &str, difference: &Difference, expected: Option<(usize, usize)>) {
    let list = Deviations::parse(ENTRY).expect("the list is good");
    assert_eq!(list.place(name, difference), expected);
}

#[test]
fn entry_applies_to_its_scenarios_section_side_and_lines() {
    let line = "-A -t [fd00::1]:80 -s rr";
    let good = difference(Section::Ipvs, Side::Ours, line);
    check("49-exclude-cidrs", &good, Some((0, 0)));
    check("49-exclude-cidrs/01-step", &good, Some((0, 0)));
    check("50-other", &good, None);
    check("49-x", &difference(Section::Ipset, Side::Ours, line), None);
    check("49-x", &difference(Section::Ipvs, Side::Theirs, line), None);
    check(
        "49-x",
        &difference(Section::Ipvs, Side::Ours, "-A -t f:80 -s rr"),
        None,
    );
    check(
        "49-x",
        &difference(Section::Ipvs, Side::Ours, "-A -f 7 -s rr"),
        Some((0, 1)),
    );
}

#[test]
fn redundant_line_does_not_apply() {
    let list = Deviations::parse(&format!("{ENTRY}{ENTRY}")).expect("the list is good");
    let line = difference(Section::Ipvs, Side::Ours, "-A -f 7 -s rr");
    assert_eq!(list.place("49-x", &line), Some((0, 1)));
}

fn refused(text: &str, expected: &str) {
    let error = Deviations::parse(text).expect_err("the list is bad");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn entry_needs_a_deviation_or_release() {
    refused(&ENTRY.replace("D13", "13"), "`13` is not a deviation");
    refused(&ENTRY.replace("deviation = \"D13\"", ""), "either");
    refused(
        &ENTRY.replace("reason = ", "release = \"1.33\"\nreason = "),
        "either",
    );
}

#[test]
fn entry_needs_a_reason_and_known_fields() {
    refused(&ENTRY.replace("\"foreign\"", "\"\""), "a reason");
    refused(&format!("{ENTRY}line = \"x\"\n"), "unknown field");
    refused(&ENTRY.replace("ipvs", "ipv"), "unknown section `ipv`");
}
