//! Tests of the built program on a kernel with IPVS, run by `cargo xtask vm`.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use support::namespace::{NEEDS_VM, in_namespace};
use support::program::drop_net_admin;
use tempfile::TempDir;

const SHOP: &str = include_str!("data/shop.yaml");
const SHOP_TABLES: &str = include_str!("data/shop.txt");

const APPLY: &str = "apply -f shop.yaml --node node1 --config node.yaml --yes";
const DIFF: &str = "diff -f shop.yaml --node node1 --config node.yaml";
const NO_CHANGE: &str = "Plan: 0 to add, 0 to change, 0 to delete\n";

/// A separate network namespace, with a folder of manifests.
struct Node {
    folder: TempDir,
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("it ends by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Ran {
    #[track_caller]
    fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.out, self.err);
        self
    }
}

/// Runs `test` on a thread in a new network namespace, which its child processes share.
fn on_node(test: impl FnOnce(&Node) + Send) {
    in_namespace(|| {
        let node = Node {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        node.write("shop.yaml", SHOP);
        node.write("node.yaml", &config(""));
        node.tool("ipvsadm --list --numeric");
        test(&node);
    });
}

impl Node {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("a file is written");
    }

    fn command(&self, args: &str) -> Command {
        let program = match std::env::var_os("VM_BIN") {
            Some(folder) => PathBuf::from(folder).join("ipvsctl"),
            None => PathBuf::from(env!("CARGO_BIN_EXE_ipvsctl")),
        };
        let mut command = Command::new(program);
        command
            .args(args.split_ascii_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &str) -> Ran {
        let output = self.command(args).output();
        Ran::from(output.unwrap_or_else(|error| panic!("ipvsctl did not start: {error}")))
    }

    /// Runs a tool of the system, which must succeed.
    fn tool(&self, line: &str) -> String {
        let mut words = line.split_ascii_whitespace();
        let output = Command::new(words.next().expect("a program"))
            .args(words)
            .output()
            .unwrap_or_else(|error| panic!("{line}: {error}; {NEEDS_VM}"));
        let ran = Ran::from(output);
        assert_eq!(ran.status, 0, "{line}: {}; {NEEDS_VM}", ran.err);
        ran.out
    }

    /// Returns the sorted lines of `ipvsadm --save`.
    fn saved(&self) -> Vec<String> {
        let text = self.tool("ipvsadm --save --numeric");
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.sort();
        lines
    }
}

/// Returns a configuration with `lines`. It does not set the size of the connection tracker, which
/// all namespaces share.
fn config(lines: &str) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
         conntrack: {{maxPerCore: 0}}\n{lines}"
    )
}

/// Returns the sorted lines about virtual servers and real servers.
fn server_lines(tables: &str) -> Vec<&str> {
    let lines = tables.lines().filter(|line| line.starts_with('-'));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines
}

// Expects the 13 entries of the shop, all sets and rules, and the settings that differ in a new
// namespace.
#[test]
fn apply_leaves_no_difference() {
    on_node(|node| {
        let ran = node.run(APPLY).exits(0);
        assert!(
            ran.out.ends_with(
                "\nPlan: 60 to add, 8 to change, 0 to delete\n\
                 Applied: 60 added, 8 changed, 0 deleted\n"
            ),
            "{}",
            ran.out
        );
        assert_eq!(ran.err, "");
        assert_eq!(node.saved(), server_lines(SHOP_TABLES));
        let addresses = node.tool("ip -oneline address show dev kube-ipvs0");
        for address in ["10.96.0.10/32", "10.96.0.20/32", "fd00:96::10/128"] {
            assert!(addresses.contains(&format!(" {address} ")), "{addresses}");
        }
        let tables = node.run("get tables -o text").exits(0);
        assert!(tables.out.starts_with(SHOP_TABLES), "{}", tables.out);
        let diff = node.run(DIFF).exits(0);
        assert_eq!(diff.out, NO_CHANGE);
        let again = node.run(APPLY).exits(0);
        assert_eq!(again.out, NO_CHANGE);
    });
}

const NODE_PORT: &str = "\
apiVersion: v1
kind: Service
metadata: {name: window, namespace: default}
spec:
  type: NodePort
  clusterIPs: [10.96.0.30]
  ports: [{port: 80, nodePort: 30080}]
";

#[test]
fn node_ports_are_served_at_addresses_of_the_node() {
    on_node(|node| {
        node.tool("ip link add eth0 type dummy");
        node.tool("ip link set eth0 up");
        node.tool("ip address add 192.0.2.1/24 dev eth0");
        node.write("window.yaml", NODE_PORT);
        let ran = node
            .run("apply -f window.yaml --node node1 --config node.yaml --yes")
            .exits(0);
        assert_eq!(ran.err, "");
        let expected = ["-A -t 10.96.0.30:80 -s rr", "-A -t 192.0.2.1:30080 -s rr"];
        assert_eq!(node.saved(), expected);
        let diff = node
            .run("diff -f window.yaml --node node1 --config node.yaml")
            .exits(0);
        assert_eq!(diff.out, NO_CHANGE);
        node.tool("ip address add 192.0.2.2/24 dev eth0");
        let diff = node
            .run("diff -f window.yaml --node node1 --config node.yaml")
            .exits(1);
        let line = "\n+ -A -t 192.0.2.2:30080 -s rr\n";
        assert!(diff.out.contains(line), "{}", diff.out);
    });
}

#[test]
fn diff_shows_drift_and_apply_repairs_it() {
    on_node(|node| {
        node.run(APPLY).exits(0);
        node.tool("ipvsadm -d -t 10.96.0.10:80 -r 10.244.2.5:8080");
        node.tool("ipvsadm -e -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 7");
        node.tool("ipvsadm -A -t 10.96.0.10:81 -s rr");
        node.tool("ipvsadm -A -t 192.0.2.1:443 -s wlc");
        node.tool("ip address del fd00:96::10/128 dev kube-ipvs0");
        node.tool("ipvsadm -D -t [fd00:96::10]:80");
        let before = node.saved();
        let diff = node.run(DIFF).exits(1);
        let expected = "\
virtual servers  +1      -1
real servers     +2  ~1
addresses        +1

default/web:http
+ -a -t 10.96.0.10:80 -r 10.244.2.5:8080 -m -w 1
~ -e -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1    weight 7 -> 1
+ fd00:96::10/128
+ -A -t [fd00:96::10]:80 -s rr
+ -a -t [fd00:96::10]:80 -r [fd00:244:1::5]:8080 -m -w 1

(no Service)
- -D -t 10.96.0.10:81

Plan: 4 to add, 1 to change, 1 to delete
";
        assert_eq!(diff.out, expected);
        assert_eq!(node.saved(), before);

        let applied = node.run(APPLY).exits(0);
        assert!(
            applied
                .out
                .ends_with("\nApplied: 4 added, 1 changed, 1 deleted\n"),
            "{}",
            applied.out
        );
        let mut expected = server_lines(SHOP_TABLES);
        expected.push("-A -t 192.0.2.1:443 -s wlc");
        expected.sort_unstable();
        assert_eq!(node.saved(), expected);
    });
}

#[test]
fn failed_changes_do_not_stop_the_others() {
    on_node(|node| {
        node.write("config.yaml", &config("ipvs: {scheduler: fastest}\n"));
        let ran = node
            .run("apply -f shop.yaml --node node1 --config config.yaml --yes")
            .exits(2);
        let start = "error: default/web:http: failed to add virtual server 10.96.0.10:80/TCP: the \
                     kernel has no scheduler fastest: load its module (modprobe ip_vs_fastest)";
        assert!(ran.err.contains(start), "{}", ran.err);
        assert!(
            ran.out.ends_with(
                "\nApplied: 51 added, 8 changed, 0 deleted; 4 failed; 5 skipped because they depend \
                 on a failed one\n"
            ),
            "{}",
            ran.out
        );
    });
}

#[test]
fn error_names_the_missing_capability() {
    on_node(|node| {
        for args in ["get servers", DIFF, APPLY] {
            let mut command = node.command(args);
            drop_net_admin(&mut command);
            let ran = Ran::from(command.output().expect("ipvsctl runs")).exits(2);
            assert_eq!(ran.out, "", "{args}");
            assert!(
                ran.err.starts_with("error: ") && ran.err.contains("not permitted"),
                "{}",
                ran.err
            );
            assert!(ran.err.contains("CAP_NET_ADMIN"), "{}", ran.err);
            assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        }
    });
}

#[test]
fn get_prints_live_tables_in_every_format() {
    on_node(|node| {
        node.run(APPLY).exits(0);
        let table = node.run("get servers").exits(0).out;
        assert!(
            table.starts_with("VIRTUAL SERVER        SERVICE  SCHEDULER  REAL SERVER"),
            "{table}"
        );
        let wide = node.run("get servers -o wide").exits(0).out;
        assert!(wide.contains("10800 s /32"), "{wide}");
        let text = node.run("get servers -o text").exits(0).out;
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, server_lines(SHOP_TABLES));
        for format in ["text", "json", "yaml"] {
            let saved = node.run(&format!("get tables -o {format}")).exits(0).out;
            node.write("saved", &saved);
            let diff = node
                .run("diff -f shop.yaml --node node1 --config node.yaml --live saved")
                .exits(0);
            assert_eq!((&*diff.out, &*diff.err), (NO_CHANGE, ""), "{format}");
        }
        let json = node.run("get servers -o json").exits(0).out;
        let tables: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(
            tables["virtualServers"][0]["realServers"][0]["connections"]["active"],
            0
        );
        assert_eq!(
            node.run("get timeouts -o text").exits(0).out,
            "--set 900 120 300\n"
        );
        let version = node.run("version").exits(0).out;
        assert!(version.contains("IPVS     1.2.1\n"), "{version}");
    });
}

#[test]
fn apply_does_not_empty_the_table_unless_allowed() {
    on_node(|node| {
        node.run(APPLY).exits(0);
        node.tool("ipvsadm -A -t 192.0.2.1:443 -s wlc");
        let before = node.saved();
        node.write("none.yaml", "apiVersion: v1\nkind: List\nitems: []\n");
        let apply = "apply -f none.yaml --node node1 --config node.yaml --yes";
        let ran = node.run(apply).exits(2);
        assert!(
            ran.err
                .contains("error: nothing was changed: the input has no Services"),
            "{}",
            ran.err
        );
        assert_eq!(node.saved(), before);
        node.run(&format!("{apply} --allow-empty")).exits(0);
        assert_eq!(node.saved(), ["-A -t 192.0.2.1:443 -s wlc"]);
        node.run(&format!("{apply} --delete 192.0.2.1:443/TCP"))
            .exits(0);
        assert_eq!(node.saved(), [""; 0]);
    });
}

/// Runs `apply` on a terminal with `answer` as input. Returns its output and its exit status.
fn apply_on_terminal(node: &Node, answer: &str) -> (String, i32) {
    let args = "apply -f shop.yaml --node node1 --config node.yaml --no-color";
    on_terminal(node, args, ("[y/N] ", answer), |_| {})
}

/// Runs `ipvsctl` on a terminal. Once it has printed `prompt`, types `typed` and calls `meanwhile`
/// with its process id. Returns its output and its exit status.
///
/// The terminal would translate text that is typed earlier, since a full-screen program sets it to
/// raw mode first.
fn on_terminal(
    node: &Node,
    args: &str,
    (prompt, typed): (&str, &str),
    meanwhile: impl FnOnce(u32),
) -> (String, i32) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a terminal");
    unlockpt(&master).expect("its other end");
    let slave = ioctl_tiocgptpeer(&master, flags).expect("its other end");
    let mut terminal = std::fs::File::from(master);
    let mut command = node.command(args);
    let copy = || slave.try_clone().expect("a descriptor");
    command.stdin(copy()).stdout(copy()).stderr(copy());
    let mut child = command.spawn().expect("ipvsctl runs");
    drop((command, slave));
    let mut output = Vec::new();
    while !String::from_utf8_lossy(&output).contains(prompt) {
        let mut more = [0; 4096];
        let length = terminal.read(&mut more).expect("the prompt");
        output.extend_from_slice(&more[..length]);
    }
    terminal
        .write_all(typed.as_bytes())
        .expect("an answer is typed");
    meanwhile(child.id());
    // The end of a terminal is an error (EIO).
    let _ = terminal.read_to_end(&mut output);
    let status = child.wait().expect("it ends").code().expect("by itself");
    (
        String::from_utf8_lossy(&output).replace("\r\n", "\n"),
        status,
    )
}

#[test]
fn apply_asks_on_a_terminal() {
    on_node(|node| {
        for answer in ["n\n", "\n", "perhaps\n"] {
            let (output, status) = apply_on_terminal(node, answer);
            assert!(output.contains("Apply these changes? [y/N] "), "{output}");
            assert!(
                output.contains("error: nothing was changed: the answer was not yes"),
                "{output}"
            );
            assert_eq!(status, 2, "{output}");
            assert_eq!(node.saved(), [""; 0]);
        }
        let (output, status) = apply_on_terminal(node, "y\n");
        assert!(
            output.contains("Applied: 60 added, 8 changed, 0 deleted"),
            "{output}"
        );
        assert_eq!(status, 0, "{output}");
        assert_eq!(node.saved(), server_lines(SHOP_TABLES));
    });
}

#[test]
fn top_restores_the_terminal() {
    on_node(|node| {
        node.run(APPLY).exits(0);
        let by_signal = |signal: &'static str| {
            move |id: u32| {
                node.tool(&format!("kill -{signal} {id}"));
            }
        };
        let args = "top --interval 0.1";
        let screen = "\u{1b}[?1049h";
        for (output, status) in [
            on_terminal(node, args, (screen, "c/x\u{8}\r j\r?q"), |_| {}),
            on_terminal(node, args, (screen, ""), by_signal("TERM")),
            on_terminal(node, args, (screen, ""), by_signal("INT")),
        ] {
            assert_eq!(status, 0, "{output:?}");
            let entered = output.find(screen).expect("another screen");
            let left = output.rfind("\u{1b}[?1049l").expect("the old screen");
            assert!(entered < left, "{output:?}");
        }
    });
}

#[test]
fn traffic_and_connections_of_an_idle_node_are_printed() {
    on_node(|node| {
        node.run(APPLY).exits(0);
        let named = "-f shop.yaml --node node1";
        let table = node
            .run(&format!("top --once --interval 0.1 {named}"))
            .exits(0)
            .out;
        let services: Vec<_> = (table.lines().skip(1))
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(services, ["default/web", "voice/phone"], "{table}");
        let stats = node
            .run(&format!("get servers --stats --rate {named}"))
            .exits(0)
            .out;
        assert!(stats.contains("default/web:http"), "{stats}");
        let table = node.run("get connections").exits(0).out;
        assert_eq!(table, "No connections.\n");
    });
}

#[test]
fn monitor_sees_a_change_and_ends_with_success() {
    on_node(|node| {
        let mut command = node.command("monitor -o json --interval 0.1 --duration 5");
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.expect("ipvsctl runs");
        // The first reading may take a second on a slow machine.
        std::thread::sleep(std::time::Duration::from_secs(2));
        node.tool("ipvsadm -A -t 10.96.0.99:80 -s rr");
        let ran = Ran::from(child.wait_with_output().expect("it ends")).exits(0);
        let change: serde_json::Value = serde_json::from_str(ran.out.trim()).expect("one document");
        assert_eq!(change["line"], "-A -t 10.96.0.99:80 -s rr");
        assert_eq!(change["effect"], "add");
        assert_eq!(change["author"], "unknown");
    });
}
