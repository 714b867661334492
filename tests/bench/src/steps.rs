//! Measures the daemon's work step by step, in one life of the daemon.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipvs::client::Client;
use ipvs::{Protocol, VirtualServerKey};
use model::{ClusterEvent, ObjectKind};

use crate::Outcome;
use crate::node::{Node, Work};
use crate::report::{figure, sample};
use crate::shape::{self, NODES, Shape, upsert};

const OURS: &str = "kube-ipvs";

/// Runs all steps, in the empty network namespace of this thread.
pub(crate) fn all(shape: Shape, changes: u32) -> Outcome {
    let mut node = Node::start()?;
    // Only one list at a time: a process of User-Mode Linux has a mapping of the host for each
    // piece of its memory, and at most `vm.max_map_count` of them.
    let list = shape.events();
    let (cold, first) = first_server(|| node.take(list))?;
    for (what, took) in [
        ("cold sync", cold.all),
        ("write servers", cold.servers),
        ("write sets", cold.sets),
        ("write rules", cold.rules),
        ("write addresses", cold.addresses),
        ("cold sync: reading", cold.reading),
        ("cold sync: settings", cold.settings),
        ("cold sync: first virtual server", first),
        (
            "cold sync: computing",
            cold.all.saturating_sub(cold.kernel()),
        ),
    ] {
        sample(what, shape, OURS, took);
    }
    figure(
        "cold sync",
        shape,
        "page faults",
        cold.page_faults as f64,
        "",
    );
    sample("full read", shape, OURS, node.read_servers()?);
    let settled = node.audit()?;
    nothing("an audit", &settled)?;
    sample("audit", shape, OURS, settled.all);
    sample("audit: reading", shape, OURS, settled.reading);

    one_endpoint(&mut node, shape, changes)?;
    one_service(&mut node, shape, changes)?;
    let relisted = node.take(shape.events())?;
    nothing("a relist", &relisted)?;
    sample("relist of everything", shape, OURS, relisted.all);

    drop(node);
    let mut node = Node::start()?;
    let restarted = node.take(shape.events())?;
    nothing("a restart", &restarted)?;
    sample("restart", shape, OURS, restarted.all);
    sample("restart", shape, "reading it takes", restarted.reading);
    node_vanishes(&mut node, shape)
}

/// Removes one endpoint of a Service and adds it again.
fn one_endpoint(node: &mut Node, shape: Shape, changes: u32) -> Outcome {
    let (mut ops, mut count) = (0, 0);
    for number in 0..changes {
        let service = number % shape.services;
        let gone = node.take(shape.slices(service, &|endpoint| endpoint != 0))?;
        sample("endpoint removed", shape, OURS, gone.all);
        sample("endpoint removed: kernel", shape, OURS, gone.kernel());
        let back = node.take(shape.slices(service, &|_| true))?;
        sample("endpoint added", shape, OURS, back.all);
        sample("endpoint added: kernel", shape, OURS, back.kernel());
        ops += gone.ops + back.ops;
        count += 2;
    }
    let each = ops as f64 / f64::from(count.max(1));
    figure("one endpoint", shape, "changes of the kernel", each, "");
    Ok(())
}

/// Deletes one Service and adds it again.
fn one_service(node: &mut Node, shape: Shape, changes: u32) -> Outcome {
    // The kernel searches deleted entries at each addition (see docs/kernel-contract.md). Few
    // Services are changed, so that the daemon is measured and not that search.
    for service in (1..shape.services).take(usize::try_from(changes / 10)?) {
        let name = shape::name(service);
        let mut gone: Vec<ClusterEvent> = shape
            .slices(service, &|_| true)
            .into_iter()
            .filter_map(|event| match event {
                ClusterEvent::Upsert(object) => Some(ClusterEvent::Delete(
                    ObjectKind::EndpointSlice,
                    object.name(),
                )),
                _ => None,
            })
            .collect();
        gone.insert(0, ClusterEvent::Delete(ObjectKind::Service, name));
        sample("service removed", shape, OURS, node.take(gone)?.all);
        let mut back = vec![upsert(shape.service(service))];
        back.extend(shape.slices(service, &|_| true));
        sample("service added", shape, OURS, node.take(back)?.all);
    }
    Ok(())
}

/// Removes all endpoints of one node at once.
fn node_vanishes(node: &mut Node, shape: Shape) -> Outcome {
    let lost = NODES - 1;
    let here = |service: u32| move |endpoint: u32| shape::node_of(service, endpoint) == lost;
    let mut events = Vec::new();
    let mut endpoints = 0;
    for service in 0..shape.services {
        let gone = (0..shape.endpoints).filter(|endpoint| here(service)(*endpoint));
        let count = gone.count();
        if count > 0 {
            endpoints += count * shape.families().len();
            events.extend(shape.slices(service, &|endpoint| !here(service)(endpoint)));
        }
    }
    let work = node.take(events)?;
    sample("a node vanishes", shape, OURS, work.all);
    let ratio = work.ops as f64 / (endpoints.max(1)) as f64;
    figure("a node vanishes", shape, "endpoints", endpoints as f64, "");
    figure(
        "a node vanishes",
        shape,
        "changes of the kernel for each endpoint",
        ratio,
        "",
    );
    Ok(())
}

/// Fails if anything was written.
fn nothing(what: &str, work: &Work) -> Outcome {
    match work.ops {
        0 => Ok(()),
        ops => Err(format!("{what} wrote {ops} times without a difference").into()),
    }
}

/// Runs `work`, and also returns the time until `default/kubernetes` was in the table.
fn first_server(work: impl FnOnce() -> Outcome<Work>) -> Outcome<(Work, Duration)> {
    let key = VirtualServerKey::Address {
        address: IpAddr::from([10, 96, 0, 1]),
        port: 80,
        protocol: Protocol::Tcp,
    };
    let ended = AtomicBool::new(false);
    let mut client = Client::open()?;
    let began = Instant::now();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Outcome<Duration> {
            while client.virtual_server(&key)?.is_none() {
                if ended.load(Ordering::Relaxed) {
                    return Err("default/kubernetes is not served".into());
                }
                thread::sleep(Duration::from_millis(2));
            }
            Ok(began.elapsed())
        });
        let done = work();
        ended.store(done.is_err(), Ordering::Relaxed);
        let first = watcher.join().map_err(|_| "the watcher panicked")?;
        Ok((done?, first?))
    })
}
