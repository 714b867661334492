use std::collections::BTreeSet;
use std::time::Instant;

use ipvs::VirtualServer;
use ipvs::client::Request;

use super::{ASK_AGAIN, ModulePolicy, Modules, Refusal, Schedulers};
use crate::contract::builders;

/// A node with the modules of some schedulers, which records its calls.
struct Node {
    schedulers: Schedulers,
    /// Schedulers of the kernel.
    present: BTreeSet<&'static str>,
    modules: FakeModules,
    /// Schedulers of the requests that reached the kernel, with one inner list for each send.
    sent: Vec<Vec<String>>,
    now: Instant,
}

#[derive(Default)]
struct FakeModules {
    loaded: BTreeSet<String>,
    built_in: BTreeSet<String>,
    asked: Vec<String>,
}

impl Modules for FakeModules {
    fn is_loaded(&self, module: &str) -> bool {
        self.loaded.contains(module)
    }

    fn is_built_in(&self, module: &str) -> bool {
        self.built_in.contains(module)
    }

    fn load(&mut self, module: &str) {
        self.asked.push(module.to_owned());
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Errno {
    Enoent,
    Eexist,
}

fn node(policy: ModulePolicy, present: &[&'static str]) -> Node {
    Node {
        schedulers: Schedulers::new(policy),
        present: present.iter().copied().collect(),
        modules: FakeModules::default(),
        sent: Vec::new(),
        now: Instant::now(),
    }
}

fn server(scheduler: &str, port: u16) -> VirtualServer {
    builders::server(builders::tcp([10, 96, 0, 1], port), scheduler)
}

fn add(scheduler: &str) -> Request {
    Request::NewService(server(scheduler, 80))
}

impl Node {
    /// Returns the answers as letters: `.` succeeded, `!` refused by the kernel, `-` not sent.
    fn execute(&mut self, requests: &[Request]) -> String {
        let (sent, present) = (&mut self.sent, &self.present);
        let answers = self.schedulers.execute(
            requests,
            self.now,
            &mut self.modules,
            |requests| {
                let name = |request: &Request| match request {
                    Request::NewService(server) | Request::SetService(server) => {
                        server.scheduler.to_string()
                    }
                    _ => "other".to_owned(),
                };
                sent.push(requests.iter().map(name).collect());
                let answer = |request: &Request| match request {
                    // Port 1 already exists.
                    Request::NewService(server) if server.key == self::server("", 1).key => {
                        Err(Errno::Eexist)
                    }
                    Request::NewService(server) | Request::SetService(server) => {
                        let there = present.contains(&*server.scheduler.0);
                        there.then_some(()).ok_or(Errno::Enoent)
                    }
                    _ => Ok(()),
                };
                requests.iter().map(answer).collect()
            },
            |error| *error == Errno::Enoent,
        );
        let letter = |answer: &Result<(), Refusal<Errno>>| match answer {
            Ok(()) => '.',
            Err(Refusal::Kernel(_)) => '!',
            Err(Refusal::NoScheduler) => '-',
        };
        answers.iter().map(letter).collect()
    }
}

#[test]
fn a_missing_scheduler_costs_one_modprobe_and_one_request() {
    for (policy, modprobes) in [(ModulePolicy::Load, 1), (ModulePolicy::DoNotLoad, 0)] {
        let mut node = node(policy, &["rr"]);
        let requests = vec![add("mh"); 200];
        assert_eq!(node.execute(&requests), format!("!{}", "-".repeat(199)));
        for _ in 0..10 {
            assert_eq!(node.execute(&requests), "-".repeat(200));
        }
        assert_eq!(node.modules.asked.len(), modprobes, "{policy:?}");
        assert_eq!(node.sent, [["mh"]]);
    }
}

#[test]
fn a_missing_scheduler_is_requested_again_later() {
    let mut node = node(ModulePolicy::Load, &[]);
    assert_eq!(node.execute(&[add("mh"), add("mh")]), "!-");
    node.now += ASK_AGAIN;
    node.present.insert("mh");
    assert_eq!(node.execute(&[add("mh"), add("mh")]), "..");
    assert_eq!(node.modules.asked, ["ip_vs_mh", "ip_vs_mh"]);
}

#[test]
fn a_module_that_appears_ends_the_wait() {
    let mut node = node(ModulePolicy::DoNotLoad, &[]);
    assert_eq!(node.execute(&[add("mh")]), "!");
    node.present.insert("mh");
    node.modules.loaded.insert("ip_vs_mh".to_owned());
    assert_eq!(node.execute(&[add("mh")]), ".");
}

/// `ip_vs_ftp` is a module and no scheduler.
#[test]
fn a_module_without_a_scheduler_does_not_end_the_wait() {
    let mut node = node(ModulePolicy::Load, &[]);
    node.modules.loaded.insert("ip_vs_ftp".to_owned());
    assert_eq!(node.execute(&[add("ftp")]), "!");
    assert_eq!(node.execute(&[add("ftp")]), "-");
    assert_eq!(node.sent.len(), 1);
    assert_eq!(node.modules.asked.len(), 0);
}

#[test]
fn other_requests_are_sent_in_order() {
    let mut node = node(ModulePolicy::Load, &["rr", "wrr"]);
    let delete = Request::DelService(server("", 2).key);
    let requests = [
        add("rr"),
        add("mh"),
        delete.clone(),
        add("rr"),
        add("mh"),
        add("wrr"),
        delete,
        add("wrr"),
    ];
    assert_eq!(node.execute(&requests), ".!..-...");
    let sent: Vec<String> = node.sent.iter().map(|sent| sent.join(" ")).collect();
    assert_eq!(sent, ["rr", "mh", "other rr", "wrr", "other wrr"]);
    // Requests with known schedulers are sent together.
    assert_eq!(node.execute(&[add("rr"), add("wrr"), add("rr")]), "...");
    assert_eq!(node.sent.last().expect("a send").len(), 3);
    assert_eq!(node.modules.asked, ["ip_vs_rr", "ip_vs_mh", "ip_vs_wrr"]);
}

#[test]
fn an_answer_about_something_else_leaves_a_scheduler_untried() {
    let mut node = node(ModulePolicy::Load, &[]);
    let exists = Request::NewService(server("mh", 1));
    assert_eq!(node.execute(&[exists, add("mh"), add("mh")]), "!!-");
    assert_eq!(node.modules.asked, ["ip_vs_mh"]);
}

#[test]
fn modules_that_block_the_kernel_are_not_requested() {
    for policy in [ModulePolicy::Load, ModulePolicy::DoNotLoad] {
        let mut node = node(policy, &["lblc", "lblcr"]);
        node.modules.built_in.insert("ip_vs_lblcr".to_owned());
        assert_eq!(
            node.execute(&[add("lblc"), add("lblcr"), add("lblc")]),
            "-.-"
        );
        assert_eq!(node.sent, [["lblcr"]]);
        node.modules.loaded.insert("ip_vs_lblc".to_owned());
        assert_eq!(node.execute(&[add("lblc"), add("lblc")]), "..");
    }
}

#[test]
fn an_invalid_module_name_is_not_loaded() {
    let mut node = node(ModulePolicy::Load, &[]);
    assert_eq!(node.execute(&[add("../x"), add("a b")]), "!!");
    assert_eq!(node.modules.asked.len(), 0);
}
