//! Checks that the reference page about the daemon equals the daemon's help.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use node::daemon::Args;

fn page() -> String {
    let help = (Args::command().term_width(100))
        .render_long_help()
        .to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    format!(
        "# kube-ipvsd\n\n\
         <!-- Generated from the program's help by `BLESS=1 cargo test -p node docs_are_current`. -->\n\n\
         ```text\n{}\n```\n",
        lines.join("\n")
    )
}

#[test]
fn docs_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/daemon.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, page()).expect("the page is written");
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        page(),
        "run BLESS=1 cargo test -p node docs_are_current"
    );
}
