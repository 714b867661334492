//! A folder in the form of `/proc`, with processes in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use model::chain;
use tempfile::TempDir;

use super::*;

const MANIFEST: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIPs: [10.96.0.10], ports: [{port: 80}]}
";

/// A fake `/proc`. The process itself is in network namespace 1.
pub(in crate::input) struct Proc(TempDir);

impl Proc {
    pub(in crate::input) fn new() -> Self {
        let proc = Self(TempDir::new().expect("a directory"));
        proc.write("namespaces/1", "");
        proc.write("namespaces/2", "");
        proc.share_network("self", 1);
        proc
    }

    /// Returns a path in the folder; the folder itself for an empty name.
    pub(in crate::input) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("to write");
    }

    fn share_network(&self, process: &str, namespace: u8) {
        fs::create_dir_all(self.path(&format!("{process}/net"))).expect("a folder");
        let (file, link) = (
            format!("namespaces/{namespace}"),
            format!("{process}/net/dev"),
        );
        fs::hard_link(self.path(&file), self.path(&link)).expect("a link");
    }

    /// Adds a process with its own root directory and the working directory `/work`.
    pub(in crate::input) fn process(&self, pid: u32, name: &str, arguments: &[&str]) -> &Self {
        let write = |file: &str, text: &str| self.write(&format!("{pid}/{file}"), text);
        write("comm", &format!("{name}\n"));
        write("stat", &format!("{pid} (a) S (x) S 1 1 1 0"));
        write(
            "cgroup",
            "0::/kubepods.slice/kubepods-pod1.slice/cri.scope\n",
        );
        let words = [&[name], arguments].concat();
        write(
            "cmdline",
            &words
                .iter()
                .map(|word| format!("{word}\0"))
                .collect::<String>(),
        );
        write("environ", "NODE_NAME=Node7\0HOME=/root\0broken\0");
        write("root/work/web.yaml", MANIFEST);
        symlink("/work", self.path(&format!("{pid}/cwd"))).expect("a link");
        self.share_network(&pid.to_string(), 1);
        self
    }

    /// Returns the only daemon.
    fn daemon(&self) -> Daemon {
        let mut found = find(self.0.path()).daemons;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}

pub(in crate::input) fn no_args() -> NodeArgs {
    NodeArgs {
        node: None,
        config: None,
        strict_config: false,
        lenient: false,
        node_state: None,
    }
}

#[test]
fn nothing_is_found_without_processes() {
    let found = find(Path::new("/nonexistent"));
    assert!(found.daemons.is_empty() && found.kube_proxies.is_empty());
    let proc = Proc::new();
    proc.process(7, "sshd", &["-D"]);
    assert!(find(proc.0.path()).daemons.is_empty());
}

#[test]
fn proxies_of_this_network_namespace_are_found() {
    let proc = Proc::new();
    proc.process(7, "kube-ipvsd", &["--manifests", "web.yaml"]);
    proc.process(8, "kube-proxy", &["--config=/config.conf"]);
    proc.process(9, "kube-ipvsd", &["--cleanup"]);
    proc.process(10, "kube-ipvsd", &["--once=true", "--manifests", "-"]);
    proc.process(11, "kube-ipvsd", &[]);
    fs::remove_file(proc.path("11/net/dev")).expect("a file");
    proc.share_network("12", 2);
    fs::hard_link(proc.path("namespaces/2"), proc.path("11/net/dev")).expect("a link");
    proc.process(13, "kube-ipvsd", &[]);
    proc.write("13/stat", "13 (kube-ipvsd) Z 1");
    let found = find(proc.0.path());
    let pids = |all: &[ProcessFacts]| all.iter().map(|one| one.pid).collect::<Vec<_>>();
    let daemons: Vec<_> = found
        .daemons
        .into_iter()
        .map(|daemon| daemon.process)
        .collect();
    assert_eq!(pids(&daemons), [7]);
    assert_eq!(pids(&found.kube_proxies), [8]);
}

#[test]
fn state_and_manager_are_those_of_the_process() {
    let proc = Proc::new();
    proc.process(7, "kube-ipvsd", &[]);
    let process = proc.daemon().process;
    assert_eq!(
        (process.state, process.manager),
        (State::Running, Manager::Kubelet)
    );
    proc.write("7/stat", "7 (kube-ipvsd) T 1");
    proc.write("7/cgroup", "0::/system.slice/kube-ipvsd.service\n");
    let process = proc.daemon().process;
    assert_eq!(process.state, State::Stopped);
    assert_eq!(
        process.manager,
        Manager::Systemd("kube-ipvsd.service".to_owned())
    );
    proc.write("7/cgroup", "0::/system.slice/a;reboot.service\n");
    assert_eq!(proc.daemon().process.manager, Manager::Unknown);
}

#[test]
fn configuration_and_manifests_are_read_below_the_root_of_the_process() {
    let proc = Proc::new();
    proc.process(
        7,
        "kube-ipvsd",
        &["--manifests", "web.yaml", "--config=/etc/kube/config.yaml"],
    );
    let config = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n\
                  ipvs: {scheduler: wrr}\n";
    proc.write("7/root/etc/kube/config.yaml", config);
    let daemon = proc.daemon();
    let mut node = daemon.node(&no_args()).expect("a node");
    assert_eq!(&*node.config.node.node_name, "node7");
    assert_eq!(&*node.config.node.scheduler.0, "wrr");
    let cluster = daemon.cluster(&mut node, None).expect("a cluster");
    assert!(cluster.whole);
    assert_eq!(cluster.state.service_names().count(), 1);
}

#[test]
fn flags_of_the_process_and_of_the_command_line_count() {
    let proc = Proc::new();
    let flags = [
        "--ipvs_scheduler=lc",
        "--hostname-override=Node8",
        "-v=2",
        "--no-modprobe",
        "--force=false",
    ];
    proc.process(7, "kube-ipvsd", &flags);
    let node = proc.daemon().node(&no_args()).expect("a node");
    assert_eq!(&*node.config.node.node_name, "node8");
    assert_eq!(&*node.config.node.scheduler.0, "lc");
    let named = NodeArgs {
        node: Some("node9".to_owned()),
        ..no_args()
    };
    let node = proc.daemon().node(&named).expect("a node");
    assert_eq!(&*node.config.node.node_name, "node9");
}

/// Checks the error of a daemon with these arguments.
#[track_caller]
fn fails(arguments: &[&str], expected: &str) {
    let proc = Proc::new();
    proc.process(7, "kube-ipvsd", arguments);
    fs::create_dir(proc.path("7/root/folder")).expect("a folder");
    proc.write("7/root/odd.yaml", "mode: [\n");
    let daemon = proc.daemon();
    let read = daemon.node(&no_args()).and_then(|mut node| {
        let cluster = daemon.cluster(&mut node, None);
        cluster.map_err(Error::Running)
    });
    let found = chain(&read.expect_err("an error"));
    assert!(found.contains(expected), "{found}");
}

#[test]
fn errors_name_the_process_and_what_is_missing() {
    fails(
        &["--config=/none"],
        "failed to read /none of kube-ipvsd (process 7): No such file",
    );
    fails(
        &["--config=/folder"],
        "/folder of kube-ipvsd (process 7): it is not a regular file",
    );
    fails(
        &["--config=/odd.yaml"],
        "failed to read the configuration of kube-ipvsd (process 7): /odd.yaml",
    );
    fails(
        &["--manifests", "-"],
        "kube-ipvsd (process 7) read its objects from standard input",
    );
    fails(
        &["--future-flag"],
        "(process 7) has flags that this version of ipvsctl does not know",
    );
    fails(
        &["--kubeconfig=/none"],
        "failed to use the kubeconfig /none",
    );
    fails(&[], "no API server is configured");
}

#[test]
fn an_unreachable_api_server_is_reported() {
    let proc = Proc::new();
    proc.process(7, "kube-ipvsd", &["--kubeconfig=/kubeconfig"]);
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
                clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
                contexts: [{name: a, context: {cluster: c, user: u}}]\n";
    proc.write("7/root/kubeconfig", text);
    let daemon = proc.daemon();
    let mut node = daemon.node(&no_args()).expect("a node");
    let error = chain(&daemon.cluster(&mut node, None).expect_err("an error"));
    assert!(error.contains("http://127.0.0.1:1"), "{error}");
}

/// The page of kube-ipvsd's flags is made from its command line.
#[test]
fn every_flag_of_kube_ipvsd_is_known() {
    let page = include_str!("../../../../../docs/reference/daemon.md");
    let options = page
        .lines()
        .filter_map(|line| line.trim_start().split_once("--"));
    let options = options.filter(|(before, _)| before.is_empty() || before.ends_with(", "));
    let mut count = 0;
    for (_, option) in options {
        let name: String = option
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        if ["help", "version"].contains(&&*name) {
            continue;
        }
        let takes_value = option.contains('<');
        let flag = format!("--{name}{}", if takes_value { "=1" } else { "" });
        let parsed = CommandLine::parse(vec!["kube-ipvsd".into(), flag.clone().into()]);
        assert!(parsed.is_some(), "{flag}");
        count += 1;
    }
    assert!(count > 20, "{count} flags");
}
