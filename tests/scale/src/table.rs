//! Text output of a report.

use comfy_table::{Table, presets};

use crate::report::{Recovery, Report, Traffic};

/// Returns the report as a Markdown table.
pub(crate) fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["what", "measured"]);
    let mut row = |what: &str, measured: String| {
        table.add_row([what, &measured]);
    };
    let Report {
        size,
        initial,
        memory,
        steady,
        ..
    } = report;
    row(
        "size",
        format!(
            "{} daemons, {} Nodes{}, {} Services x {} endpoints",
            size.daemons,
            size.nodes,
            if size.own_node {
                " (each watches its own)"
            } else {
                ""
            },
            size.services,
            size.endpoints
        ),
    );
    row(
        "first lists: synced",
        format!(
            "first daemon after {:.2} s, last after {:.2} s",
            initial.first_synced_seconds, initial.last_synced_seconds
        ),
    );
    for each in &initial.per_daemon {
        row(
            &format!("first lists: {}, each daemon", each.resource),
            format!("{:.1} requests, {}", each.requests, bytes(each.bytes)),
        );
    }
    row("first lists: CPU", initial.cpu.to_string());
    row(
        "memory of the daemons' process",
        format!(
            "{:.1} MiB before, {:.1} MiB after, {:.2} MiB each daemon",
            memory.before, memory.after, memory.per_daemon
        ),
    );
    row(
        "changes",
        format!(
            "{} asked per second, {:.0} written for {} s; the last kernel caught up {:.2} s after the last write",
            size.changes_per_second,
            steady.written_per_second,
            size.seconds,
            steady.caught_up_seconds
        ),
    );
    for each in &steady.per_second_and_daemon {
        row(
            &format!("changes: {}, each second and daemon", each.resource),
            traffic(each),
        );
    }
    row(
        "changes: lag to the kernel",
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; {} samples, {:.0} superseded",
            steady.lag.p50, steady.lag.p99, steady.lag.max, steady.lag.samples, steady.superseded
        ),
    );
    row(
        "changes: CPU",
        format!(
            "{}: {:.2} % of a CPU each daemon",
            steady.cpu,
            100.0 * steady.cpu.daemons / steady.cpu.of / size.daemons as f64
        ),
    );
    for (name, recovery) in [
        ("watches cut", &report.cut),
        ("server restarted", &report.restart),
    ] {
        for (what, measured) in rows(recovery) {
            row(&format!("{name}: {what}"), measured);
        }
    }
    row(
        "all kernels have the desired tables",
        if report.converged { "yes" } else { "NO" }.to_owned(),
    );
    table
}

fn rows(recovery: &Recovery) -> [(&'static str, String); 5] {
    [
        (
            "converged",
            format!(
                "{:.2} s, {} changes included",
                recovery.converged_seconds, recovery.changes
            ),
        ),
        (
            "requests",
            format!(
                "{} lists, {} watches, {} while down; {} each daemon",
                recovery.lists,
                recovery.watches,
                recovery.while_down,
                bytes(recovery.bytes_per_daemon)
            ),
        ),
        ("lists", recovery.list_times.to_string()),
        ("watches", recovery.watch_times.to_string()),
        ("CPU", recovery.cpu.to_string()),
    ]
}

fn traffic(traffic: &Traffic) -> String {
    format!("{:.1} events, {}", traffic.events, bytes(traffic.bytes))
}

fn bytes(bytes: f64) -> String {
    if bytes < 1e4 {
        format!("{bytes:.0} B")
    } else if bytes < 1e6 {
        format!("{:.1} kB", bytes / 1e3)
    } else {
        format!("{:.1} MB", bytes / 1e6)
    }
}
