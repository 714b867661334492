use std::fs;

use super::Origin;
use crate::cli::{NodeArgs, Source};
use crate::error::Error;
use crate::input::running::tests::{Proc, no_args};

fn no_source() -> Source {
    Source {
        paths: Vec::new(),
        strict: false,
        kubeconfig: None,
        context: None,
    }
}

/// Returns the name of the node and the number of Services that a command reads.
fn read(proc: &Proc, source: &Source, args: &NodeArgs) -> Result<(String, usize), Error> {
    let origin = Origin::find(source, args, &proc.path(""));
    let mut node = origin.node()?;
    let cluster = origin.cluster(&mut node)?;
    let name = node.config.node.node_name.to_string();
    Ok((name, cluster.state.service_names().count()))
}

/// Returns a node with a kube-ipvsd that has manifests with one Service.
fn proc() -> Proc {
    let proc = Proc::new();
    proc.process(7, "kube-ipvsd", &["--manifests", "web.yaml"]);
    proc
}

#[test]
fn input_is_that_of_the_running_daemon() {
    let found = read(&proc(), &no_source(), &no_args()).expect("an input");
    assert_eq!(found, ("node7".to_owned(), 1));
}

#[test]
fn files_of_the_command_line_win() {
    let proc = proc();
    fs::write(
        proc.path("none.yaml"),
        "apiVersion: v1\nkind: List\nitems: []\n",
    )
    .expect("a file");
    let source = Source {
        paths: vec![proc.path("none.yaml")],
        ..no_source()
    };
    let args = NodeArgs {
        node: Some("node1".to_owned()),
        ..no_args()
    };
    let found = read(&proc, &source, &args).expect("an input");
    assert_eq!(found, ("node1".to_owned(), 0));
}

#[test]
fn a_kubeconfig_in_the_file_of_the_command_line_wins() {
    let proc = proc();
    let config =
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n";
    let named = format!("{config}clientConnection: {{kubeconfig: /none}}\n");
    let args = |text: &str| {
        fs::write(proc.path("config.yaml"), text).expect("a file");
        NodeArgs {
            config: Some(proc.path("config.yaml")),
            ..no_args()
        }
    };
    let found = read(&proc, &no_source(), &args(config)).expect("an input");
    assert_eq!(found, ("node7".to_owned(), 1));
    let error = read(&proc, &no_source(), &args(&named)).expect_err("no such kubeconfig");
    let error = model::chain(&error);
    assert!(error.contains("the kubeconfig /none"), "{error}");
}

#[test]
fn several_daemons_are_not_chosen_between() {
    let proc = proc();
    proc.process(8, "kube-ipvsd", &["--manifests", "other.yaml"]);
    let (source, args) = (no_source(), no_args());
    assert!(
        Origin::find(&source, &args, &proc.path(""))
            .daemon
            .is_none()
    );
}
