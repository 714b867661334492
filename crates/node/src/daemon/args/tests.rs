mod flags;

use clap::CommandFactory as _;

use super::super::settings;
use super::*;

fn resolve(args: &[&str]) -> sources::config::Resolved {
    let args = Args::try_parse_from(["kube-ipvsd"].iter().chain(args)).expect("a command line");
    sources::config::load(None, &args.overrides(), "host").expect("a configuration")
}

#[test]
fn the_command_line_definition_is_valid() {
    Args::command().debug_assert();
}

#[test]
fn kube_proxys_command_line_is_accepted() {
    let resolved = resolve(&[
        "--cluster-cidr=100.96.0.0/11",
        "--conntrack-max-per-core=131072",
        "--hostname-override=Node1",
        "--kubeconfig=/var/lib/kube-proxy/kubeconfig",
        "--oom-score-adj=-998",
        "--proxy-mode=ipvs",
        "--ipvs-scheduler=lc",
        "--masquerade-all",
        "-v=2",
        "--v=2",
    ]);
    assert_eq!(&*resolved.node.node_name, "node1");
    assert_eq!(&*resolved.node.scheduler.0, "lc");
    assert!(resolved.node.masquerade.all);
    assert_eq!(
        resolved.kubeconfig,
        Some("/var/lib/kube-proxy/kubeconfig".into())
    );
    assert_eq!(resolved.warnings, []);
}

#[test]
fn own_log_flags_precede_kube_proxys_flags_and_the_file() {
    let desk = tempfile::tempdir().expect("a directory");
    let file = desk.path().join("config.conf");
    std::fs::write(&file, "logging: {format: json, verbosity: 5}").expect("a file");
    let config = format!("--config={}", file.display());
    let check = |args: &[&str], format, filter| {
        let args = Args::try_parse_from(["kube-ipvsd"].iter().chain(args)).expect("a command line");
        let resolved = sources::config::load(args.config.as_deref(), &args.overrides(), "host");
        let settings = resolved.expect("a configuration").settings;
        assert_eq!(settings::log(&args, Some(&settings)), (format, filter));
    };
    let (text, json) = (LogFormat::Text, LogFormat::Json);
    check(&[], text, "info");
    check(&["--v=3"], text, "info");
    check(&["-v=4"], text, "debug");
    check(&["-v", "6", "--logging-format=json"], json, "trace");
    check(&[&config], json, "debug");
    check(&[&config, "--v=0"], json, "info");
    check(&[&config, "-v=10", "--logging-format=text"], text, "trace");
    let own = ["--log-level=warn", "--log-format=text"];
    check(&[&config, "--v=6", own[0], own[1]], text, "warn");
    let nothing = Args::parse_from(["kube-ipvsd"]);
    assert_eq!(settings::log(&nothing, None), (text, "info"));
}
