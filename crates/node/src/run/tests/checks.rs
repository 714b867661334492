//! Failing health checks of many Services beside the change of another one.

use model::Name;
use model::policy::{Annotation, CheckTarget, PolicyField};

use super::*;

/// Number of Services with a health check.
const SERVICES: u8 = 100;

/// Number of changes of the other Service.
const CHANGES: u8 = 20;

/// Time of each effect of the kernel.
const PAUSE: Duration = Duration::from_millis(2);

/// Keeps the targets that the loop wants to have checked.
#[derive(Clone, Default)]
struct Targets(Arc<Mutex<Vec<CheckTarget>>>);

impl Observer for Targets {
    fn reported(&mut self, report: &Report, _now: Moment) {
        if let Report::ChecksWanted(targets) = report {
            let targets = targets.keys().cloned();
            self.0.lock().expect("targets").extend(targets);
        }
    }
}

/// Starts a loop with `web` and a hundred Services with a check, each with two endpoints.
fn start(targets: &Targets) -> Running {
    let mut config = NodeConfig::new("node1");
    config.allowed_annotations = [PolicyField::HealthCheck].into();
    config.health_check_networks = vec!["10.2.0.0/16".parse().expect("a network")];
    let node = Running::with(config, PAUSE, Box::new(targets.clone()));
    let mut objects = vec![web(), web_slice(&[1])];
    for number in 0..SERVICES {
        let name = format!("checked-{number}");
        let object = ObjectName::new("default", name.as_str());
        let mut service = fixtures::service(object, [10, 96, 1, number]);
        service.annotations = [Annotation::new("health-check", "type=tcp")].into();
        let slice_name = ObjectName::new("default", format!("{name}-1").as_str());
        let endpoints = fixtures::endpoints([[10, 2, number, 1], [10, 2, number, 2]]);
        objects.push(Object::Service(service));
        let slice = fixtures::slice(slice_name, name.as_str(), endpoints);
        objects.push(Object::EndpointSlice(slice));
    }
    for event in fixtures::lists(objects) {
        node.send(event);
    }
    node.until("served", LIMIT, |node| node.weight(1) == Some(1));
    let all = usize::from(SERVICES) * 2;
    node.until("checked", LIMIT, |_| {
        targets.0.lock().expect("targets").len() == all
    });
    node
}

/// Adds endpoints to `web` one after the other. Returns the greatest number of effects between a
/// change and its real server, and all times.
fn change(node: &Running) -> (usize, Vec<Duration>) {
    let (mut most, mut times) = (0, Vec::new());
    for last in 2..2 + CHANGES {
        let endpoints: Vec<u8> = (1..=last).collect();
        let (effects, begin) = (node.log.count(Did::Effect), Instant::now());
        node.send(slice(&endpoints));
        node.until("changed", LIMIT, |node| node.weight(last) == Some(1));
        times.push(begin.elapsed());
        most = most.max(node.log.count(Did::Effect) - effects);
        // The next change is not part of this one's sync.
        thread::sleep(Duration::from_millis(20));
    }
    times.sort();
    (most, times)
}

/// One endpoint of each of a hundred Services fails and recovers at the greatest rate at which
/// results are reported, ten times a second. A change of another Service waits for some effects, not
/// for those of a hundred Services.
#[test]
fn flapping_checks_of_others_do_not_delay_a_change() {
    let targets = Targets::default();
    let node = start(&targets);
    let calm = change(&node);
    node.stop();

    let targets = Targets::default();
    let node = start(&targets);
    let flapping: Vec<CheckTarget> = {
        let targets = targets.0.lock().expect("targets");
        targets.iter().step_by(2).cloned().collect()
    };
    let (to_node, ended) = (node.to_node.clone(), Arc::new(Mutex::new(false)));
    let end = Arc::clone(&ended);
    let flapper = thread::spawn(move || {
        let mut reports = 0;
        while !*end.lock().expect("a flag") {
            let error = (reports % 2 == 0).then(|| Name::from("refused"));
            let results = flapping
                .iter()
                .map(|target| (target.clone(), error.clone()));
            to_node.checked(results.collect());
            reports += 1;
            thread::sleep(Duration::from_millis(100));
        }
        reports
    });
    let flapping = change(&node);
    *ended.lock().expect("a flag") = true;
    let reports = flapper.join().expect("no panic");
    node.stop();
    let median = |times: &[Duration]| times[times.len() / 2];
    println!(
        "change of one Service: median {:?}, longest {:?}, at most {} effects; with {SERVICES} \
         flapping Services ({reports} reports): median {:?}, longest {:?}, at most {} effects",
        median(&calm.1),
        calm.1[calm.1.len() - 1],
        calm.0,
        median(&flapping.1),
        flapping.1[flapping.1.len() - 1],
        flapping.0
    );
    assert!(reports >= 2, "{reports} reports");
    assert!(
        flapping.0 <= calm.0 + 10,
        "{} effects while others flap, {} without",
        flapping.0,
        calm.0
    );
}
