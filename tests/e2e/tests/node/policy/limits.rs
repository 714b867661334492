//! Limits of the connections of an endpoint.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Conversation, Failure, Family, Outcome, ensure, within};

use super::{annotated, configuration, count};
use crate::service::{Address, Service};
use crate::stage::{Stage, with_slices};

const PODS: [&str; 2] = ["pod1", "pod2"];
/// The kernel forgets a connection ten seconds after its RST (`tcp_timeouts`, `IP_VS_TCP_S_CLOSE`,
/// net/netfilter/ipvs/ip_vs_proto_tcp.c, Linux 6.1).
const FORGOTTEN: Duration = Duration::from_secs(20);

/// A Service with limits, and its connections.
struct Limited<'a> {
    stage: &'a Stage,
    target: SocketAddr,
    held: Vec<Conversation>,
}

impl Limited<'_> {
    fn open(&mut self) -> Outcome {
        let opened = Conversation::open(&self.stage.world.client, self.target)?;
        self.held.push(opened);
        Ok(())
    }

    /// Opens connections until every endpoint has `upper`, and fails unless the next is refused.
    fn fill(&mut self, upper: usize) -> Outcome {
        for _ in 0..upper * PODS.len() {
            self.open()?;
        }
        let counts = count(self.held.iter().map(|one| &*one.pod));
        ensure(counts.values().all(|count| *count == upper), || {
            format!("{}: {counts:?}", self.target)
        })?;
        self.is_full()
    }

    fn is_full(&self) -> Outcome {
        let next = Conversation::open(&self.stage.world.client, self.target);
        ensure(next.is_err(), || format!("not refused: {next:?}"))
    }

    /// Takes `count` connections to `pod`.
    fn take(&mut self, pod: &str, count: usize) -> Vec<Conversation> {
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some(place) = self.held.iter().position(|one| one.pod == pod)
        {
            taken.push(self.held.swap_remove(place));
        }
        taken
    }

    /// Waits until the kernel counts these active and inactive connections to the pod.
    fn soon_counts(&self, pod: &str, active: usize, inactive: usize) -> Outcome {
        within(FORGOTTEN, || {
            let list = format!("ipvsadm -Ln -t {}", self.target);
            let text = self.stage.world.tool(&list)?;
            let real = format!("{}:{}", self.stage.pod(pod)?.v4, e2e::PORT);
            let line = (text.lines())
                .find(|line| line.split_ascii_whitespace().nth(1) == Some(&*real))
                .ok_or_else(|| Failure::new(format!("no {real} in {text}")))?;
            let expected = [active.to_string(), inactive.to_string()];
            let found: Vec<&str> = line.split_ascii_whitespace().skip(4).collect();
            ensure(found == expected, || {
                format!("{pod}: expected {expected:?}, found {line}")
            })
        })
    }
}

/// One Service has a lower limit of 4, the other that of the kernel: three quarters of 8.
pub(super) fn of_connections() -> Outcome {
    const UPPER: usize = 8;
    let services = [
        (Service::new("lower", 1), "upper=8, lower=4", 4),
        (Service::new("default", 2), "upper=8", 6),
    ];
    let stage = Stage::configured(&PODS, &configuration(&[]), |world| {
        let of = |(service, limits, _): &(Service, &str, usize)| {
            let annotations = [("scheduler", "rr"), ("connection-limits", *limits)];
            with_slices(
                world,
                *service,
                annotated(service.outside(), &annotations),
                &PODS,
            )
        };
        services.iter().flat_map(of).collect()
    })?;
    let limited = |service: Service, kind| Limited {
        stage: &stage,
        target: service.at(kind, Family::V4),
        held: Vec::new(),
    };
    let mut all = Vec::new();
    for (service, _, lower) in services {
        let mut cluster_ip = limited(service, Address::ClusterIp);
        cluster_ip.fill(UPPER)?;
        // Another virtual server of the same Service and endpoints counts for itself.
        limited(service, Address::LoadBalancer).fill(UPPER)?;
        all.push((cluster_ip, lower));
    }
    for (service, lower) in &mut all {
        // `pod1` keeps as many as the lower limit, `pod2` one less.
        for (pod, keeps) in [("pod1", *lower), ("pod2", *lower - 1)] {
            let leaving = service.take(pod, UPPER - keeps);
            leaving.into_iter().try_for_each(Conversation::reset)?;
        }
        // Connections that have ended count until the kernel forgets them.
        service.soon_counts("pod2", *lower - 1, UPPER + 1 - *lower)?;
        service.is_full()?;
    }
    for (service, lower) in &mut all {
        service.soon_counts("pod1", *lower, 0)?;
        service.soon_counts("pod2", *lower - 1, 0)?;
        let before = service.held.len();
        for _ in 0..=UPPER - *lower {
            service.open()?;
        }
        let new = count(service.held[before..].iter().map(|one| &*one.pod));
        ensure(new.keys().eq(["pod2"]), || {
            format!("{}: new connections reached {new:?}", service.target)
        })?;
        service.is_full()?;
    }
    let mut held = all.iter().flat_map(|(service, _)| &service.held);
    held.try_for_each(Conversation::is_alive)?;
    // A connection that ends without a reset counts too, for two minutes.
    let (service, _) = &mut all[0];
    let leaving = service.take("pod2", UPPER);
    drop(leaving);
    service.soon_counts("pod2", 0, UPPER)?;
    service.is_full()
}
