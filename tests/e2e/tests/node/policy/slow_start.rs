//! Slow start: the share of new connections of an endpoint that begins to get some.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Conversation, Failure, Family, Outcome, ensure, get, scaled, within};

use super::{SOON, annotated, ask, configuration, count, real_server, soon_has, virtual_server};
use crate::service::{Address, Service};
use crate::stage::{METRICS, Stage, with_slices};

/// Time of a slow start on an idle machine, nine steps of two seconds.
const TIME: Duration = Duration::from_secs(18);
/// The full weight of an endpoint without `weights`.
const FULL: u32 = 10;
/// Rounds of `wrr` in one sample. In each round an endpoint gets as many connections as its weight.
const ROUNDS: usize = 3;
/// Number of connections that stay open meanwhile.
const OPEN: usize = 30;

/// Curve of the share of `pod` at `target`, whose other endpoints have their full weight.
pub(crate) struct Growth<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) target: SocketAddr,
    /// The pod that begins to get connections.
    pub(crate) pod: &'a str,
    /// Number of the other endpoints.
    pub(crate) others: u32,
    /// Time of the slow start.
    pub(crate) time: Duration,
}

/// A sample of the curve.
struct Sample {
    /// Time since the first sample.
    time: Duration,
    weight: u32,
    /// Connections of the pod.
    found: usize,
    /// Connections of all pods.
    all: usize,
}

impl Growth<'_> {
    /// Samples the curve until the weight is full, and prints it. Fails unless the weight grows in
    /// steps over about the time of the slow start, and the share of new connections follows it.
    pub(crate) fn follow(&self) -> Outcome {
        let began = Instant::now();
        let limit = self.time + scaled(Duration::from_secs(10));
        let mut samples: Vec<Sample> = Vec::new();
        while samples.last().is_none_or(|last| last.weight < FULL) {
            ensure(began.elapsed() < limit, || {
                format!("the weight is not full after {limit:?}")
            })?;
            let sample = self.sample(began)?;
            let last = samples.last().map_or(0, |last| last.weight);
            match sample {
                Some(sample) if sample.weight > last => samples.push(sample),
                Some(sample) => ensure(sample.weight == last, || {
                    format!("the weight fell from {last} to {}", sample.weight)
                })?,
                // A step was made during the sample.
                None => {}
            }
            sleep(Duration::from_millis(100));
        }
        for Sample {
            time,
            weight,
            found,
            all,
        } in &samples
        {
            let time = time.as_secs_f64();
            let share = 100.0 * *found as f64 / *all as f64;
            println!(
                "slow start at {time:5.1} s: weight {weight:2} of {FULL}, {found:2} of {all:3} connections, {share:4.1} %"
            );
        }
        let first = samples.first().map_or(0, |first| first.weight);
        ensure(first <= 3, || {
            format!("the first sample has weight {first}")
        })?;
        // A slow machine misses some steps.
        ensure(samples.len() >= 5, || {
            format!("only {} steps were seen", samples.len())
        })?;
        let took = began.elapsed();
        ensure(took >= self.time / 2, || format!("it took only {took:?}"))
    }

    /// Returns `None` if the weight changed meanwhile.
    fn sample(&self, began: Instant) -> Outcome<Option<Sample>> {
        let time = began.elapsed();
        let weight = self.weight()?;
        let round = self.others * FULL + weight;
        let all = ROUNDS * usize::try_from(round).unwrap_or(usize::MAX);
        let counts = ask(self.stage, self.target, all)?;
        if self.weight()? != weight {
            return Ok(None);
        }
        let found = counts.get(self.pod).copied().unwrap_or(0);
        let expected = ROUNDS * usize::try_from(weight).unwrap_or(usize::MAX);
        ensure(found.abs_diff(expected) <= 2, || {
            format!(
                "with weight {weight} {} got {found} of {counts:?}, not {expected}",
                self.pod
            )
        })?;
        Ok(Some(Sample {
            time,
            weight,
            found,
            all,
        }))
    }

    /// Returns the weight of the pod in the kernel.
    fn weight(&self) -> Outcome<u32> {
        let address = self.stage.pod(self.pod)?.v4;
        let start = format!("-a -t {} -r {address}:{} -m -w ", self.target, e2e::PORT);
        let tables = self.stage.world.tables()?;
        let weights = tables
            .ipvs
            .iter()
            .filter_map(|line| line.strip_prefix(&*start));
        let weight = weights.filter_map(|text| text.trim().parse().ok()).next();
        weight.ok_or_else(|| Failure::new(format!("no line {start}N in {tables}")))
    }
}

/// A third endpoint joins two: its share grows from a 21st to a third. Meanwhile `ipvsctl` finds no
/// drift, the daemon's page shows the slow start, and every open connection lives.
pub(super) fn of_a_new_endpoint() -> Outcome {
    const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];
    let web = Service::new("web", 1);
    let time = scaled(TIME);
    let slow_start = format!("{}s", time.as_secs());
    let annotations = [("scheduler", "wrr"), ("slow-start", &*slow_start)];
    let stage = Stage::configured(&PODS, &configuration(&[]), |world| {
        let service = annotated(web.inside(), &annotations);
        with_slices(world, web, service, &PODS[..2])
    })?;
    let target = web.at(Address::ClusterIp, Family::V4);
    // A new Service starts with its full weights.
    let mut lines = vec![virtual_server(target, "wrr")];
    for pod in &PODS[..2] {
        lines.push(real_server(&stage, target, pod, FULL)?);
    }
    soon_has(&stage, &lines)?;
    let open = |_| Conversation::open(&stage.world.client, target);
    let mut held = (0..OPEN).map(open).collect::<Outcome<Vec<_>>>()?;
    stage.set_endpoints(web, &PODS)?;
    soon_has(&stage, &[real_server(&stage, target, "pod3", 1)?])?;
    within(SOON, || agrees(&stage))?;
    let growth = Growth {
        stage: &stage,
        target,
        pod: "pod3",
        others: 2,
        time,
    };
    growth.follow()?;
    held.extend((0..3).map(open).collect::<Outcome<Vec<_>>>()?);
    let pods = count(held.iter().map(|one| &*one.pod));
    ensure(pods.len() == PODS.len(), || format!("{pods:?}"))?;
    held.iter().try_for_each(Conversation::is_alive)?;
    let (_, page) = get(&stage.world.node, METRICS, "/slowstarts")?;
    ensure(
        page["slowStarts"].as_array().is_some_and(Vec::is_empty),
        || format!("slow starts are left: {page}"),
    )
}

/// Fails unless the daemon shows the slow starts of both families, `ipvsctl diff` finds no
/// difference, and `ipvsctl explain` names the slow start.
fn agrees(stage: &Stage) -> Outcome {
    let config = stage.world.path("config.yaml");
    let (_, page) = get(&stage.world.node, METRICS, "/slowstarts")?;
    let shown = page["slowStarts"].as_array().map_or(0, Vec::len);
    // Three protocols in each of two families.
    ensure(shown == 6, || format!("expected 6 slow starts: {page}"))?;
    let kubeconfig = &stage.api.kubeconfig;
    let arguments: [&dyn AsRef<OsStr>; 6] = [
        &"--config",
        &config,
        &"--kubeconfig",
        kubeconfig,
        &"--node",
        &"node1",
    ];
    let diff: [&dyn AsRef<OsStr>; 1] = [&"diff"];
    let diff = [&diff[..], &arguments[..]].concat();
    stage.world.ipvsctl(&diff)?.exits(0)?;
    let explain: [&dyn AsRef<OsStr>; 3] = [&"explain", &"svc", &"default/web"];
    let explain = [&explain[..], &arguments[..]].concat();
    let explained = stage.world.ipvsctl(&explain)?;
    ensure(explained.out.contains("slow start: weight "), || {
        explained.out.clone()
    })
}
