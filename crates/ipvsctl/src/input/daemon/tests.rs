use serde_json::json;

use super::*;

#[test]
fn texts_of_an_answer_are_escaped() {
    let page =
        json!({"x\u{1b}": ["a\nb", {"y": "\u{1b}[2J"}], "n": 1, "t": true, "z": null}).to_string();
    let value: Value = read(&page).expect("JSON");
    let expected =
        json!({r"x\u{1b}": [r"a\nb", {"y": r"\u{1b}[2J"}], "n": 1, "t": true, "z": null});
    assert_eq!(value, expected);
}

#[test]
fn a_counter_is_the_sum_of_its_series() {
    let page = "\
# HELP drift_total Repairs.
drift_total{operation=\"add\"} 3
drift_total{operation=\"delete a b\"} 4
drift_total 1
drift_total_seconds{operation=\"add\"} 50
drift_total{operation=\"add\"} much
";
    assert_eq!(sum(page, "drift_total"), 8);
    assert_eq!(sum(page, "other"), 0);
    let most = format!("x 1\nx {}\n", u64::MAX);
    assert_eq!(sum(&most, "x"), u64::MAX);
}

#[test]
fn changes_of_a_daemon_are_escaped() {
    let page = r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "Changes", "next": 7, "changes": [
        {"number": 7, "effect": "add", "line": "-A \u001b[2J", "service": null}]}"#;
    let log: DaemonChanges = read(page).expect("a log");
    assert_eq!((log.next, log.changes.len()), (7, 1));
    assert_eq!(log.changes[0].line, "-A \\u{1b}[2J");
    assert!(read::<DaemonChanges>("{}").is_err());
}
