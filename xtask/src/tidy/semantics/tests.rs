use super::*;

const FIELDS_OF_TESTS: &str =
    "Configuration mode\nNode spec.taints\nService spec.type\nService status.conditions\n";

/// Returns a page without mistakes.
fn page() -> String {
    let mut page = String::from(
        "# Semantics\n\
         | not | a table of fields |\n|---|---|\n| `x` | y |\n\
         ## Service\n\
         | field | behaviour | scenario |\n|---|---|---|\n\
         | `spec.type` | decides | `one`, `recording 01-a` |\n\
         | `status.conditions` | not read | `one` |\n\
         ## Node\n\
         | field | behaviour | scenario |\n|:--|---|---|\n\
         | `spec.taints` | `a\\|b` | `one` |\n\
         ## Configuration\n\
         | field | behaviour | scenario |\n|---|---|---|\n\
         | `mode` | ipvs | `one` |\n\
         ## Deviations\n\
         | number | what | scenario |\n|---|---|---|\n",
    );
    for number in 1..=LAST_DEVIATION {
        let evidence = if DATA_PLANE.contains(&number) {
            ELSEWHERE[0]
        } else {
            "`one`"
        };
        page.push_str(&format!("| D{number} | better | {evidence} |\n"));
    }
    page
}

fn shown(path: &str) -> Option<String> {
    let text = match path {
        "tests/conformance/scenarios/one.scenario" => {
            "mode: ipvs\n{taints: [], conditions: []}\nproxyMode: x, proxy-type: y, type of z"
        }
        "tests/conformance/recordings/01-a" => "spec:\n  type: ClusterIP\n",
        _ => return None,
    };
    Some(text.to_owned())
}

#[test]
fn complete_page_has_no_complaints() {
    assert_eq!(check(&page(), FIELDS_OF_TESTS, &shown), [""; 0]);
}

/// A mistake: its name, the text of the page, its replacement, and the complaints.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const MISTAKES: &[Mistake] = &[
    (
        "row with several fields",
        "| `spec.type` | decides | `one`, `recording 01-a` |\n| `status.conditions` |",
        "| `spec.type`, `status.conditions` | decide | `one`, `recording 01-a` |\n| |",
        &["docs/semantics.md:9: the row names no field in backquotes"],
    ),
    (
        "scenario without the field",
        "| `one`, `recording 01-a` |",
        "| `one` |",
        &["docs/semantics.md:8: no scenario of this row has the field `spec.type`"],
    ),
    (
        "field without a row",
        "| `status.conditions` | not read | `one` |\n",
        "",
        &[
            "tests/conformance/fields.txt:4: Service status.conditions has no row in docs/semantics.md",
        ],
    ),
    (
        "unknown field",
        "`mode`",
        "`mode`, `proxyMode`",
        &[
            "docs/semantics.md:17: Configuration has no field `proxyMode`, says tests/conformance/fields.txt",
        ],
    ),
    (
        "field in the wrong table",
        "| `spec.taints` |",
        "| `spec.type` |",
        &[
            "docs/semantics.md:13: no scenario of this row has the field `spec.type`",
            "docs/semantics.md:13: Node has no field `spec.type`, says tests/conformance/fields.txt",
            "tests/conformance/fields.txt:2: Node spec.taints has no row in docs/semantics.md",
        ],
    ),
    (
        "field with two rows",
        "| `status.conditions` | not read | `one` |",
        "| `status.conditions`, `spec.type` | not read | `one`, `recording 01-a` |",
        &["docs/semantics.md:9: `spec.type` has a row already, line 8"],
    ),
    (
        "words in place of a scenario",
        "| not read | `one` |",
        "| not read | one |",
        &["docs/semantics.md:9: the row of `status.conditions` names no scenario"],
    ),
    (
        "data plane in place of a scenario",
        "| not read | `one` |",
        "| not read | data plane |",
        &["docs/semantics.md:9: the row of `status.conditions` names no scenario"],
    ),
    (
        "row without text",
        "| not read |",
        "| |",
        &["docs/semantics.md:9: the row of `status.conditions` has no text"],
    ),
    (
        "row with two cells",
        "| not read | `one` |",
        "| not read |",
        &["docs/semantics.md:9: a row has three cells, this one 2"],
    ),
    (
        "row without a field",
        "| `status.conditions` | not read",
        "| | not read",
        &[
            "docs/semantics.md:9: the row names no field in backquotes",
            "tests/conformance/fields.txt:4: Service status.conditions has no row in docs/semantics.md",
        ],
    ),
    (
        "missing scenario",
        "| ipvs | `one` |",
        "| ipvs | `two` |",
        &[
            "docs/semantics.md:17: `two` is missing: there is no tests/conformance/scenarios/two.scenario",
        ],
    ),
    (
        "missing recording",
        "`recording 01-a`",
        "`recording 02-b`",
        &[
            "docs/semantics.md:8: `recording 02-b` is missing: there is no tests/conformance/recordings/02-b",
        ],
    ),
    (
        "deviation without a row",
        "| D5 | better | `one` |\n",
        "",
        &["docs/semantics.md: deviation D5 has no row"],
    ),
    (
        "row without a deviation",
        "| D19 | better | data plane |\n",
        "| nineteen | better | `one` |\n",
        &[
            "docs/semantics.md:39: the row begins with no deviation from D1 to D27",
            "docs/semantics.md: deviation D19 has no row",
        ],
    ),
    (
        "deviation with two rows",
        "| D20 |",
        "| D18 |",
        &[
            "docs/semantics.md:40: D18 has a row already, line 38",
            "docs/semantics.md: deviation D20 has no row",
        ],
    ),
    (
        "deviation of tables without a scenario",
        "| D5 | better | `one` |",
        "| D5 | better | data plane |",
        &["docs/semantics.md:25: the row of D5 names no scenario"],
    ),
    (
        "other words in place of the data plane",
        "| D13 | better | data plane |",
        "| D13 | better | in a VM |",
        &["docs/semantics.md:33: the row of D13 names no scenario"],
    ),
];

#[test]
fn each_mistake_has_its_complaints() {
    for (name, old, new, expected) in MISTAKES {
        let page = page();
        assert!(page.contains(old), "{name}: {old} is not on the page");
        let found = check(&page.replace(old, new), FIELDS_OF_TESTS, &shown);
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn field_matches_by_its_last_part() {
    let check = |text, field, expected| assert_eq!(mentions(text, field), expected, "{field}");
    check("ports: [{port: 80}]", "spec.ports[].port", true);
    check("ports: [{targetPort: 80}]", "spec.ports[].port", false);
    check("{hostname: a}", "endpoints[].hints.forZones[].name", false);
    check("images: []", "status.images", true);
    check("a.example/zone: x", "metadata.labels[a.example/zone]", true);
    check(
        "b.a.example/zone: x",
        "metadata.labels[a.example/zone]",
        false,
    );
    check("zone", "metadata.labels[zone]", false);
}
