use clap::CommandFactory as _;

use super::*;

fn resolve(args: &[&str]) -> sources::config::Resolved {
    let args = Args::try_parse_from(["kube-ipvsd"].iter().chain(args)).expect("a command line");
    sources::config::load(None, &args.overrides(), "host").expect("a configuration")
}

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn a_command_line_of_kube_proxy() {
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
    let warnings: Vec<_> = resolved.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["--v: has no effect"]);
}
