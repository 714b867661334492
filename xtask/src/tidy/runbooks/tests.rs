use super::*;

fn check_alerts(rules: &str, pages: &[&str], expected: &[&str]) {
    let pages: Vec<String> = pages.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(check(rules, &pages), expected);
}

const RULES: &str = "rules:\n  - alert: Down\n    expr: up == 0\n  - alert: \"Behind\"\n";

#[test]
fn an_alert_and_its_page_belong_together() {
    check_alerts(
        RULES,
        &[
            "docs/runbooks/Behind.md",
            "docs/runbooks/Down.md",
            "docs/runbooks/README.md",
        ],
        &[],
    );
}

#[test]
fn alerts_without_a_page_and_pages_without_an_alert_are_named() {
    check_alerts(
        RULES,
        &["docs/runbooks/Down.md", "docs/runbooks/Up.md"],
        &[
            "alert Behind has no page docs/runbooks/Behind.md",
            "docs/runbooks/Up.md has no alert Up",
        ],
    );
}
