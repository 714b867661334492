//! A node of a thousand Services, broken by hand in many ways.
//!
//! In each way of [`ways`]:
//! - the doctor names the problem and its Services,
//! - `ipvsctl explain` shows it for the Service `web`,
//! - packets from outside, from the node and from pods change their fates as the way says, and
//!   `ipvsctl trace` predicts each fate ([`packets`]).
//!
//! After the repair the node is healthy. kube-ipvsd is stopped by a signal meanwhile, so that it
//! does not repair the node. The commands find its process, and read its command line, its
//! configuration and its manifests.

mod packets;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use e2e::{
    Context as _, Failure, Family, Outcome, Probe, Process, Protocol, Responder, World, ensure,
    objects, within,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use self::packets::{Fate, PACKETS};
use self::ways::{Diagnosis, Effect, NO_DAEMON, Named, SECOND_PROXY, WAYS, Way};
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

/// Fates of packets by their name.
type Fates = BTreeMap<&'static str, BTreeSet<Fate>>;

struct Node {
    world: World,
    daemon: Process,
    /// Arguments with the input of `ipvsctl`. Empty while kube-ipvsd runs, whose input it finds.
    input: Vec<OsString>,
    /// Arguments for a node without kube-ipvsd.
    own_input: Vec<OsString>,
    /// Fates of the packets on the healthy node.
    healthy: Fates,
    _program: Responder,
}

fn drill() -> Outcome {
    let mut node = Node::start()?;
    let mut failures = Vec::new();
    let mut note = |way: &Way, begin: Instant, outcome: Outcome| {
        println!("{}: {:.1?}", way.name, begin.elapsed());
        if let Err(failure) = outcome {
            println!("{}: {failure}", way.name);
            failures.push(format!("{}: {failure}", way.name));
        }
    };
    for way in &WAYS {
        note(way, Instant::now(), node.suffers(way));
    }
    note(&SECOND_PROXY, Instant::now(), node.second_proxy());
    note(&NO_DAEMON, Instant::now(), node.without_daemon());
    ensure(failures.is_empty(), || failures.join("\n"))
}

impl Node {
    fn start() -> Outcome<Self> {
        let world = World::build(2)?;
        // Every refused packet gets its ICMP error.
        world.node.unlimited_icmp()?;
        // The second pod is a client.
        let mut all = vec![objects::service(
            "web",
            &[Family::V4, Family::V6].map(|family| family.virtual_address(1)),
            &Protocol::ALL,
        )];
        all.extend(
            [Family::V4, Family::V6]
                .map(|family| objects::slice("web", &[family.of(&world.pods[0])], &Protocol::ALL)),
        );
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
        let program = Responder::start(&world.node, "program", &[(Protocol::Tcp, everywhere)])?;
        let mut node = Self {
            world,
            daemon,
            input: Vec::new(),
            own_input: vec![
                "-f".into(),
                manifests.into(),
                "--config".into(),
                config.into(),
                "--node".into(),
                "node1".into(),
            ],
            healthy: Fates::new(),
            _program: program,
        };
        node.is_healthy()?;
        // It has the same input.
        node.world.ipvsctl(&[&"diff"])?.exits(0)?;
        let (healthy, failures) = node.fates(&[])?;
        println!("healthy: {healthy:?}");
        ensure(failures.is_empty(), || failures.join("\n"))?;
        node.healthy = healthy;
        Ok(node)
    }

    /// Breaks the node while the daemon is stopped, and checks reports and effects. Then the daemon
    /// continues and repairs it.
    fn suffers(&self, way: &Way) -> Outcome {
        self.daemon.signal(libc::SIGSTOP)?;
        let seen = self.run_all(way.breaks).and_then(|()| self.shows(way));
        let undone = self.run_all(way.undo);
        self.daemon.signal(libc::SIGCONT)?;
        let healthy = self.is_healthy();
        seen.and(undone).and(healthy)
    }

    /// Checks that doctor, explain and trace show the way. Fails with all that do not.
    fn shows(&self, way: &Way) -> Outcome {
        let shown = [self.reports(way), self.explains(way), self.changes(way)];
        let failures = shown.into_iter().filter_map(Result::err);
        let failures: Vec<String> = failures.map(|failure| failure.to_string()).collect();
        ensure(failures.is_empty(), || failures.join("\n  "))
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

    /// Checks that the doctor names the problem and the Services, and the state of kube-ipvsd.
    fn reports(&self, way: &Way) -> Outcome {
        let (status, report) = self.checkup()?;
        ensure(status == 1, || format!("the doctor has status {status}"))?;
        has(&report, way.doctor)?;
        has(&report, way.proxy)
    }

    /// Checks that explain shows the problem.
    fn explains(&self, way: &Way) -> Outcome {
        let expected = way.explain;
        let mut command = self.world.node.command(e2e::program("ipvsctl"));
        command
            .arg("explain")
            .args(expected.subject.split(' '))
            .args(&self.input);
        let output = command.output().context(|| "ipvsctl explain")?;
        let shown = String::from_utf8_lossy(&output.stdout);
        let missing = expected.says.iter().find(|part| !shown.contains(**part));
        let status = output.status.code();
        ensure(missing.is_none() && status == Some(expected.status), || {
            format!(
                "explain {}, status {status:?}, without {missing:?}: {shown}",
                expected.subject
            )
        })
    }

    /// Checks that the fates of packets change as the way says.
    fn changes(&self, way: &Way) -> Outcome {
        let (now, mut failures) = self.fates(way.open)?;
        let changed = now
            .iter()
            .filter(|(name, fates)| self.healthy.get(*name) != Some(fates));
        let changed: BTreeSet<&str> = changed.map(|(name, _)| *name).collect();
        let (expected, why) = match way.effect {
            Effect::On(packets) => (packets, "as the table of ways says"),
            Effect::Unfelt(reason) => (&[][..], reason),
        };
        if changed != expected.iter().copied().collect() {
            failures.push(format!(
                "expected a change of {expected:?} ({why}), found {changed:?}: {now:?}"
            ));
        }
        ensure(failures.is_empty(), || failures.join("\n  "))
    }

    /// Sends and traces every packet. Returns their fates, and those that trace mispredicts.
    fn fates(&self, open: &[&str]) -> Outcome<(Fates, Vec<String>)> {
        let mut fates = Fates::new();
        let mut failures = Vec::new();
        for packet in &PACKETS {
            let seen = packet.send(&self.world)?;
            let agrees = self.predicts(packet, &seen, open.contains(&packet.name));
            failures.extend(agrees.err().map(|failure| failure.to_string()));
            fates.insert(packet.name, seen);
        }
        Ok((fates, failures))
    }

    /// Returns the exit status and the report of the doctor.
    fn checkup(&self) -> Outcome<(i32, Value)> {
        self.document(&["doctor", "-o", "json"].map(OsString::from))
    }

    /// Waits until the doctor finds nothing, and checks that the Service answers.
    ///
    /// kube-ipvsd takes the repeated changes of this test for those of a second proxy, and reports
    /// that for minutes (KIV0410).
    fn is_healthy(&self) -> Outcome {
        within(LIMIT, || {
            let (_, report) = self.checkup()?;
            let checks = checks(&report);
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

    /// Starts another proxy while kube-ipvsd is stopped.
    fn second_proxy(&self) -> Outcome {
        let program = self.world.path("kube-proxy");
        let this = std::env::current_exe().context(|| "this program")?;
        std::os::unix::fs::symlink(this, &program).context(|| "linking kube-proxy")?;
        let mut command = self.world.node.command(&program);
        command.env(KUBE_PROXY, "127.0.0.1:11999");
        self.daemon.signal(libc::SIGSTOP)?;
        let proxy = Process::start("kube-proxy", command)?;
        // It writes to the tables within a second.
        let shown = within(LIMIT, || self.reports(&SECOND_PROXY));
        let shown = shown.and_then(|()| self.shows(&SECOND_PROXY));
        drop(proxy);
        self.daemon.signal(libc::SIGCONT)?;
        shown
    }

    /// Without a daemon the objects are those of the command line.
    fn without_daemon(&mut self) -> Outcome {
        self.daemon.kill()?;
        self.input.clone_from(&self.own_input);
        self.run_all(NO_DAEMON.breaks)?;
        self.shows(&NO_DAEMON)
    }
}

/// Fails unless the report has a result as expected.
fn has(report: &Value, expected: Diagnosis) -> Outcome {
    let checks = checks(report);
    let is_it = |result: &&Value| {
        result["check"] == expected.check
            && result["severity"] == expected.severity
            && text(&result["found"]).contains(expected.found)
    };
    let result = checks.iter().find(is_it).ok_or_else(|| {
        let bad = checks.iter().filter(|check| check["severity"] != "ok");
        let bad: Vec<String> = bad.map(|check| text(&check["found"])).collect();
        Failure::new(format!("the doctor lacks {expected:?}: {bad:#?}"))
    })?;
    let services = result["services"].as_array().cloned().unwrap_or_default();
    let users_see = text(&result["usersSee"]);
    let is_named = match expected.named {
        Named::Web => services == [json!("default/web")],
        Named::Every => {
            services.len() == usize::from(SERVICES) + 1 && services.contains(&json!("default/web"))
        }
        Named::Nobody(reason) => services.is_empty() && users_see.contains(reason),
    };
    let has_advice = !users_see.is_empty() && result["action"].is_string();
    ensure(is_named && has_advice, || {
        format!("{} Services: {result:#}", services.len())
    })
}

fn checks(report: &Value) -> Vec<Value> {
    report["checks"].as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
