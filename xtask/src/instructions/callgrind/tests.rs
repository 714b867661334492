use super::*;

#[test]
fn total_is_parsed() {
    let text = "\
# callgrind format
version: 1
events: Ir

fn=(26) hot::measured
0 9
cfn=(28) workloads::workload::diff
totals: 17046424
";
    assert_eq!(total(text), Some(17_046_424));
}

#[test]
fn output_without_counts_has_no_total() {
    let check = |text| assert_eq!(total(text), None, "{text}");
    check("");
    check("events: Ir\n");
    check("totals: 0\n");
    check("totals: many\n");
}

#[test]
fn versions_lack_the_programs_names() {
    let check = |name, text, version| assert_eq!(version_of(name, text), version);
    check(
        "rustc",
        "rustc 1.95.0 (59807616e 2026-04-14)\n",
        "1.95.0 (59807616e 2026-04-14)",
    );
    check("valgrind", "valgrind-3.19.0\n", "3.19.0");
    check("libc6-dev", "2.36-9+deb12u10", "2.36-9+deb12u10");
}
