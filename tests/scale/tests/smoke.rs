//! A small run, checked for counts and convergence.

use std::process::Command;

use serde_json::Value;

#[test]
fn three_daemons_converge_and_recover() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("report.json");
    let status = Command::new(env!("CARGO_BIN_EXE_scale"))
        .args(["--daemons", "3", "--services", "50", "--endpoints", "2"])
        .args(["--changes-per-second", "20", "--seconds", "2"])
        .args(["--down-milliseconds", "100"])
        .arg("--json")
        .arg(&json)
        .status()
        .expect("the program");
    assert!(status.success(), "{status}");
    let text = std::fs::read(&json).expect("a report");
    let report: Value = serde_json::from_slice(&text).expect("JSON");

    assert_eq!(report["converged"], true);
    let initial = report["initial"]["per_daemon"].as_array().expect("rows");
    // Each daemon gets one streamed list, which ends with a bookmark.
    for (traffic, objects) in initial.iter().zip([50.0, 50.0, 3.0]) {
        assert_eq!(traffic["requests"], 1.0, "{traffic}");
        assert_eq!(traffic["events"], objects + 1.0, "{traffic}");
    }
    let written = report["steady"]["written"].as_u64().expect("a count");
    let slices = &report["steady"]["per_second_and_daemon"][1];
    assert_eq!(slices["resource"], "endpointslices");
    assert_eq!(slices["events"].as_f64(), Some(written as f64 / 2.0));
    assert_eq!(
        report["cut"]["lists"], 0,
        "an ended watch is resumed without a list"
    );
    assert_eq!(report["cut"]["watches"], 9);
    assert_eq!(
        report["restart"]["lists"], 9,
        "each daemon lists each resource once"
    );
}
