use ipvs::text::{Line, parse_line};
use kernel::MemoryKernel;
use model::Op;

use super::*;

fn op(line: &str) -> Op {
    match parse_line(line).expect("a line") {
        Line::VirtualServer(server) => Op::AddVirtualServer(server),
        Line::RealServer(key, real) => Op::AddRealServer(key, real),
    }
}

/// A daemon that is not there.
fn silent() -> DaemonLog {
    DaemonLog::new(([127, 0, 0, 1], 1).into())
}

fn watch(kernel: &mut MemoryKernel, select: Select) -> Watch {
    Watch {
        owners: Owners::default(),
        select,
        authors: Authors::default(),
        tables: Tables::new(live::observe(kernel).expect("tables")),
        named: None,
    }
}

const SERVER: &str = "-A -t 10.96.0.10:80 -s rr";
const REAL: &str = "-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1";

#[test]
fn changes_by_other_programs_are_seen_once() {
    let mut kernel = MemoryKernel::new();
    let mut watch = watch(&mut kernel, Select::default());
    assert_eq!(watch.poll(&mut kernel, &mut silent()).changes, []);
    kernel.foreign(&op(SERVER)).expect("a virtual server");
    kernel.foreign(&op(REAL)).expect("a real server");
    let changes = watch.poll(&mut kernel, &mut silent()).changes;
    let lines: Vec<&str> = changes.iter().map(|change| change.line.as_str()).collect();
    assert_eq!(lines, [SERVER, REAL]);
    assert!(changes.iter().all(|change| change.author == "unknown"));
    assert_eq!(watch.poll(&mut kernel, &mut silent()).changes, []);
}

#[test]
fn a_selection_hides_other_changes() {
    let mut kernel = MemoryKernel::new();
    let select = Select {
        vip: Some([10, 96, 0, 99].into()),
        ..Select::default()
    };
    let mut watch = watch(&mut kernel, select);
    kernel.foreign(&op(SERVER)).expect("a virtual server");
    assert_eq!(watch.poll(&mut kernel, &mut silent()).changes, []);
}

#[test]
fn changes_of_kube_ipvsd_have_a_service_and_a_reason() {
    let page = |changes: &str, next: u32| {
        format!(
            r#"{{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "Changes", "started": "t", "next": {next}, "changes": [{changes}]}}"#
        )
    };
    let change = format!(
        r#"{{"number": 1, "time": "t", "effect": "add", "line": "{SERVER}", "reason": "missing",
             "service": {{"namespace": "shop", "name": "web", "port": "http"}}, "latencySeconds": 0.012}}"#
    );
    let address = support::pages::serve(&[
        ("/changes?limit=0", &page("", 0)),
        ("/changes?since=0", &page(&change, 1)),
        ("/changes?since=1", &page("", 1)),
    ]);
    let mut kernel = MemoryKernel::new();
    let mut watch = watch(&mut kernel, Select::default());
    let mut log = DaemonLog::new(address);
    assert!(log.is_known);
    kernel.foreign(&op(SERVER)).expect("a virtual server");
    kernel.foreign(&op(REAL)).expect("a real server");
    let changes = watch.poll(&mut kernel, &mut log).changes;
    let authors: Vec<&str> = changes.iter().map(|change| change.author).collect();
    assert_eq!(authors, ["kube-ipvsd", "another program"]);
    let service = changes[0].service.as_ref().map(ToString::to_string);
    assert_eq!(service.as_deref(), Some("shop/web:http"));
    assert_eq!(changes[0].latency_seconds, Some(0.012));
    assert_eq!(changes[0].reason.as_deref(), Some("missing"));
}

#[test]
fn changes_that_the_log_no_longer_has_have_no_known_author() {
    let page = |missed: u32| {
        format!(
            r#"{{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "Changes", "started": "t", "next": 1, "missed": {missed}, "changes": []}}"#
        )
    };
    for (missed, author) in [(0, "another program"), (5, "unknown")] {
        let address = support::pages::serve(&[
            ("/changes?limit=0", &page(0)),
            ("/changes?since=1", &page(missed)),
        ]);
        let mut kernel = MemoryKernel::new();
        let mut watch = watch(&mut kernel, Select::default());
        let mut log = DaemonLog::new(address);
        kernel.foreign(&op(SERVER)).expect("a virtual server");
        let changes = watch.poll(&mut kernel, &mut log).changes;
        assert_eq!(changes[0].author, author);
    }
}
