//! A node of a thousand Services, broken by hand in many ways. The doctor names each problem and
//! its Services, a packet shows the effect, and after the repair the node is healthy.
//!
//! kube-ipvsd is stopped by a signal meanwhile, so that it does not repair the node. The doctor
//! finds its process, and reads its command line, its configuration and its manifests.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::{
    Context as _, Failure, Family, Knock, Outcome, Probe, Process, Protocol, World, ensure, knock,
    objects, within,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::second_proxy::KUBE_PROXY;

const SERVICES: u16 = 1_000;

/// Time limit for the first sync, and for the repair after the daemon continues.
const LIMIT: Duration = Duration::from_secs(120);

/// Port of a program of the node that listens at every address.
const HOST_PORT: u16 = 8_022;

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "outage::the_doctor_sees_every_way_to_break_a_node",
        drill,
    )]
}

/// Effect on a client outside of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// No request to the Service is answered.
    Dead,
    /// Some requests to the Service are not answered.
    Lossy,
    /// A program of the node can be reached at an address of the Service.
    Exposed,
    /// An effect that no packet of this client shows.
    Hidden,
}

/// Services that a result must name.
#[derive(Clone, Copy, Debug)]
enum Named {
    /// The Service `web`.
    Web,
    /// Every Service.
    Every,
    /// No Service.
    Nobody,
}

/// A way to break the node.
struct Outage {
    name: &'static str,
    /// Commands that break it.
    breaks: &'static [&'static str],
    /// Commands that undo what kube-ipvsd does not undo.
    undo: &'static [&'static str],
    check: &'static str,
    severity: &'static str,
    /// Part of the result's text.
    found: &'static str,
    named: Named,
    effect: Effect,
}

const OUTAGES: [Outage; 16] = [
    Outage {
        name: "flushed IPVS table",
        breaks: &["ipvsadm -C"],
        undo: &[],
        check: "virtual-servers",
        severity: "problem",
        found: "virtual servers are missing",
        named: Named::Every,
        effect: Effect::Dead,
    },
    Outage {
        name: "deleted virtual server",
        breaks: &["ipvsadm -D -t 10.96.1.1:80"],
        undo: &[],
        check: "virtual-servers",
        severity: "problem",
        found: "1 virtual server is missing",
        named: Named::Web,
        effect: Effect::Dead,
    },
    Outage {
        name: "deleted real server",
        breaks: &["ipvsadm -d -t 10.96.1.1:80 -r 10.244.0.10:8080"],
        // The daemon compares the real servers of large tables in slices, which takes a minute.
        undo: &["ipvsadm -a -t 10.96.1.1:80 -r 10.244.0.10:8080 -m -w 1"],
        check: "real-servers",
        severity: "problem",
        found: "1 real server is missing; 1 Service without any endpoint",
        named: Named::Web,
        effect: Effect::Dead,
    },
    Outage {
        name: "rogue real server",
        breaks: &["ipvsadm -a -t 10.96.1.1:80 -r 10.244.0.99:8080 -m"],
        undo: &["ipvsadm -d -t 10.96.1.1:80 -r 10.244.0.99:8080"],
        check: "real-servers",
        severity: "problem",
        found: "1 real server is not an endpoint",
        named: Named::Web,
        effect: Effect::Lossy,
    },
    Outage {
        name: "weight 0",
        breaks: &["ipvsadm -e -t 10.96.1.1:80 -r 10.244.0.10:8080 -m -w 0"],
        undo: &[],
        check: "real-servers",
        severity: "problem",
        found: "1 real server of an endpoint has weight 0; 1 Service without any endpoint",
        named: Named::Web,
        effect: Effect::Dead,
    },
    Outage {
        name: "flushed nat table",
        breaks: &["iptables -t nat -F"],
        undo: &[],
        check: "rules",
        severity: "problem",
        found: "chains and jumps of the IPv4 packet filter",
        named: Named::Every,
        effect: Effect::Hidden,
    },
    Outage {
        name: "removed jump",
        breaks: &[
            "iptables -D INPUT -m comment --comment kubernetes\u{a0}ipvs\u{a0}access\u{a0}filter -j KUBE-IPVS-FILTER",
        ],
        undo: &[],
        check: "rules",
        severity: "problem",
        found: "1 chain or jump of the IPv4 packet filter",
        named: Named::Every,
        effect: Effect::Exposed,
    },
    Outage {
        name: "deleted set entry",
        breaks: &["ipset del KUBE-CLUSTER-IP 10.96.1.1,tcp:80"],
        undo: &[],
        check: "set-entries",
        severity: "problem",
        found: "1 entry is missing in set KUBE-CLUSTER-IP",
        named: Named::Web,
        effect: Effect::Dead,
    },
    Outage {
        name: "deleted address",
        breaks: &["ip address delete 10.96.1.1/32 dev kube-ipvs0"],
        undo: &[],
        check: "addresses",
        severity: "problem",
        found: "1 Service address is missing on kube-ipvs0",
        named: Named::Web,
        effect: Effect::Dead,
    },
    Outage {
        name: "device set up and down",
        // The kernel deletes the IPv6 addresses.
        breaks: &["ip link set kube-ipvs0 up", "ip link set kube-ipvs0 down"],
        undo: &[],
        check: "addresses",
        severity: "problem",
        found: "1 Service address is missing on kube-ipvs0",
        named: Named::Web,
        effect: Effect::Hidden,
    },
    Outage {
        name: "deleted local route",
        breaks: &["ip route delete local 10.96.1.1 dev kube-ipvs0 table local"],
        undo: &["ip route add local 10.96.1.1 dev kube-ipvs0 table local"],
        check: "local-addresses",
        severity: "problem",
        found: "1 address of kube-ipvs0 without a local route",
        named: Named::Web,
        effect: Effect::Dead,
    },
    Outage {
        name: "address on another device",
        breaks: &[
            "ip link add other0 type dummy",
            "ip address add 10.96.1.1/32 dev other0",
        ],
        undo: &["ip link delete other0"],
        check: "addresses-elsewhere",
        severity: "warning",
        found: "1 address of Services on other devices",
        named: Named::Web,
        effect: Effect::Hidden,
    },
    Outage {
        name: "no forwarding",
        breaks: &["sysctl -q -w net.ipv4.ip_forward=0"],
        undo: &[],
        check: "settings",
        severity: "problem",
        found: "net.ipv4.ip_forward is 0, should be 1",
        named: Named::Every,
        effect: Effect::Dead,
    },
    Outage {
        name: "untracked connections of IPVS",
        breaks: &["sysctl -q -w net.ipv4.vs.conntrack=0"],
        undo: &[],
        check: "settings",
        severity: "problem",
        found: "net.ipv4.vs.conntrack is 0, should be 1",
        named: Named::Every,
        effect: Effect::Hidden,
    },
    Outage {
        name: "INPUT policy DROP",
        breaks: &[
            "iptables -A INPUT -i lo -j ACCEPT",
            "iptables -P INPUT DROP",
        ],
        undo: &[
            "iptables -P INPUT ACCEPT",
            "iptables -D INPUT -i lo -j ACCEPT",
        ],
        check: "foreign-rules",
        severity: "problem",
        found: "policy DROP of chain INPUT of the IPv4 packet filter",
        named: Named::Every,
        effect: Effect::Dead,
    },
    Outage {
        name: "other timeouts",
        breaks: &["ipvsadm --set 900 120 300"],
        undo: &[],
        check: "timeouts",
        severity: "warning",
        found: "the idle timeouts of IPVS are not the configured ones",
        named: Named::Nobody,
        effect: Effect::Hidden,
    },
];

struct Node {
    world: World,
    daemon: Process,
    config: PathBuf,
    manifests: PathBuf,
    _program: TcpListener,
}

fn drill() -> Outcome {
    let node = Node::start()?;
    let mut failures = Vec::new();
    for outage in &OUTAGES {
        let begin = Instant::now();
        if let Err(failure) = node.suffers(outage) {
            failures.push(format!("{}: {failure}", outage.name));
        }
        println!("{}: {:.1?}", outage.name, begin.elapsed());
    }
    for (name, outage) in [
        ("NOTRACK", Node::not_tracked as fn(&Node) -> Outcome),
        ("second proxy", Node::second_proxy),
    ] {
        if let Err(failure) = outage(&node) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    if let Err(failure) = node.without_daemon() {
        failures.push(format!("no daemon: {failure}"));
    }
    ensure(failures.is_empty(), || failures.join("\n"))
}

impl Node {
    fn start() -> Outcome<Self> {
        let world = World::build(1)?;
        let mut all = world.web("web", 1);
        all.extend(objects::many(SERVICES, 1));
        all.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}));
        let manifests = world.write_objects("all.json", all)?;
        let config = world.config(&[
            "syncPeriod: 3s",
            "tcpTimeout: 2h10m",
            "tcpFinTimeout: 2m",
            "udpTimeout: 2m",
        ])?;
        let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
        daemon.wait_for_log(LIMIT, &["synced: "])?;
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, HOST_PORT));
        let program = world.node.run(|| TcpListener::bind(everywhere));
        let node = Self {
            world,
            daemon,
            config,
            manifests,
            _program: program.context(|| "listening on the node")?,
        };
        node.is_healthy()?;
        // It has the same input.
        node.world.ipvsctl(&[&"diff"])?.exits(0)?;
        Ok(node)
    }

    /// Breaks the node while the daemon is stopped, and checks report and effect. Then the daemon
    /// continues and repairs it.
    fn suffers(&self, outage: &Outage) -> Outcome {
        self.daemon.signal(libc::SIGSTOP)?;
        let seen = self.run_all(outage.breaks).and_then(|()| {
            self.reports(outage)?;
            self.shows(outage.effect)
        });
        let undone = self.run_all(outage.undo);
        self.daemon.signal(libc::SIGCONT)?;
        seen.and(undone)?;
        self.is_healthy()
    }

    /// Runs commands. A no-break space in a word stands for a space.
    fn run_all(&self, lines: &[&str]) -> Outcome {
        for line in lines {
            let mut words = line.split(' ').map(|word| word.replace('\u{a0}', " "));
            let mut command = self.world.node.command(words.next().unwrap_or_default());
            let output = command
                .args(words)
                .output()
                .context(|| (*line).to_owned())?;
            ensure(output.status.success(), || {
                format!("{line}: {}", String::from_utf8_lossy(&output.stderr))
            })?;
        }
        Ok(())
    }

    fn reports(&self, outage: &Outage) -> Outcome {
        let Outage {
            check,
            severity,
            found,
            named,
            ..
        } = outage;
        let (status, report) = self.checkup(&[])?;
        let checks = report["checks"].as_array().cloned().unwrap_or_default();
        let is_it = |result: &&Value| {
            result["check"] == *check
                && result["severity"] == *severity
                && text(&result["found"]).contains(found)
        };
        let result = checks.iter().find(is_it).ok_or_else(|| {
            let bad = checks.iter().filter(|check| check["severity"] != "ok");
            let bad: Vec<String> = bad.map(|check| text(&check["found"])).collect();
            Failure::new(format!(
                "no {severity} of check {check} with `{found}`: {bad:#?}"
            ))
        })?;
        let services = result["services"].as_array().map_or(0, Vec::len);
        let expected = match named {
            Named::Web => 1,
            Named::Every => usize::from(SERVICES) + 1,
            Named::Nobody => 0,
        };
        let names_web = result["services"]
            .as_array()
            .is_some_and(|all| all.contains(&json!("default/web")));
        ensure(services == expected && names_web == (expected > 0), || {
            format!(
                "expected {expected} Services, found {services}: {}",
                result["services"]
            )
        })?;
        ensure(
            status == 1 && result["usersSee"].is_string() && result["action"].is_string(),
            || format!("status {status}, {result:#}"),
        )?;
        let stopped =
            |check: &&Value| check["check"] == "process" && check["severity"] == "problem";
        ensure(checks.iter().any(|check| stopped(&check)), || {
            "the stopped daemon is not reported".to_owned()
        })
    }

    /// Returns the exit status and the report of the doctor.
    fn checkup(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Outcome<(i32, Value)> {
        let doctor: [&dyn AsRef<std::ffi::OsStr>; 3] = [&"doctor", &"-o", &"json"];
        let ran = self.world.ipvsctl(&[&doctor, arguments].concat())?;
        let report = serde_json::from_str(&ran.out)
            .map_err(|error| Failure::new(format!("{error}: {ran:?}")))?;
        Ok((ran.status, report))
    }

    fn shows(&self, effect: Effect) -> Outcome {
        let service = Family::V4.virtual_server(1);
        let probe = Probe::new(&self.world.client, Protocol::Tcp, service);
        match effect {
            Effect::Hidden => Ok(()),
            Effect::Dead => {
                let answers = probe.ask(1).answers;
                ensure(answers.is_empty(), || {
                    format!("the Service answers: {answers:?}")
                })
            }
            Effect::Lossy => {
                let tally = probe.ask(4);
                ensure(
                    !tally.failures.is_empty() && !tally.answers.is_empty(),
                    || format!("expected answers and failures: {tally:?}"),
                )
            }
            Effect::Exposed => {
                let host = SocketAddr::new(service.ip(), HOST_PORT);
                let timeout = Duration::from_secs(2);
                let found = knock(&self.world.client, None, Protocol::Tcp, host, timeout);
                ensure(found == Knock::Open, || {
                    format!("expected the node's program at {host}, found {found:?}")
                })
            }
        }
    }

    /// Waits until the doctor finds nothing, and checks that the Service answers.
    ///
    /// kube-ipvsd takes the repeated changes of this test for those of a second proxy, and reports
    /// that for minutes (KIV0410).
    fn is_healthy(&self) -> Outcome {
        within(LIMIT, || {
            let (_, report) = self.checkup(&[])?;
            let checks = report["checks"].as_array().cloned().unwrap_or_default();
            let mut bad = checks.iter().filter(|check| check["severity"] != "ok");
            let verdict = text(&report["verdict"]);
            let is_served = verdict.ends_with("all 1,001 Services are served as they should be");
            ensure(
                is_served && bad.all(|check| text(&check["found"]).contains("KIV0410")),
                || format!("{report:#}"),
            )
        })?;
        let service = Family::V4.virtual_server(1);
        let probe = Probe::new(&self.world.client, Protocol::Tcp, service);
        probe.ask(2).complete().map(drop)
    }

    fn not_tracked(&self) -> Outcome {
        let rule = "PREROUTING -d 10.96.1.1/32 -p tcp -m tcp --dport 80 -j CT --notrack";
        self.world.tool(&format!("iptables -t raw -A {rule}"))?;
        let (status, report) = self.checkup(&[])?;
        self.world.tool(&format!("iptables -t raw -D {rule}"))?;
        expects(
            status,
            &report,
            "foreign-rules",
            "keeps packets to 10.96.1.1:80/TCP from connection tracking",
        )?;
        self.is_healthy()
    }

    fn second_proxy(&self) -> Outcome {
        let program = self.world.path("kube-proxy");
        let this = std::env::current_exe().context(|| "this program")?;
        std::os::unix::fs::symlink(this, &program).context(|| "linking kube-proxy")?;
        let mut command = self.world.node.command(&program);
        command.env(KUBE_PROXY, "127.0.0.1:11999");
        let proxy = Process::start("kube-proxy", command)?;
        let found = within(LIMIT, || {
            let (status, report) = self.checkup(&[])?;
            expects(status, &report, "process", "kube-proxy runs on this node")
        });
        drop(proxy);
        found?;
        // The daemon reports its sign for minutes.
        Ok(())
    }

    /// Without a daemon the objects are those of the command line.
    fn without_daemon(mut self) -> Outcome {
        self.daemon.kill()?;
        self.world.tool("ipvsadm -C")?;
        let (status, report) = self.checkup(&[
            &"-f",
            &self.manifests,
            &"--config",
            &self.config,
            &"--node",
            &"node1",
        ])?;
        expects(
            status,
            &report,
            "virtual-servers",
            "virtual servers are missing",
        )?;
        expects(status, &report, "proxies", "kube-ipvsd does not answer")?;
        let verdict = text(&report["verdict"]);
        ensure(
            verdict.ends_with("1,001 of 1,001 Services are not served as they should be"),
            || verdict.clone(),
        )
    }
}

/// Fails unless the report has a problem of this check with `words`.
fn expects(status: i32, report: &Value, check: &str, words: &str) -> Outcome {
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let mut found = checks
        .iter()
        .filter(|found| found["check"] == check && found["severity"] == "problem");
    ensure(
        status == 1 && found.any(|found| text(&found["found"]).contains(words)),
        || format!("status {status}, no problem of check {check} with `{words}`: {report:#}"),
    )
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
