//! Services with excessive specifications, beside a good Service whose endpoints change.

mod endpoints;
mod missing_scheduler;
mod poison;
mod scene;

use std::collections::BTreeSet;
use std::net::IpAddr;

use e2e::{Context as _, Outcome, ensure, objects};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use self::scene::{Scene, with_scheduler};
use crate::case;

/// Maximum number of lines that the daemon logs about 1,000 mistakes.
const LINES: usize = 3_000;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("tenants::who_ask_for_too_much_harm_no_other", harmless),
        case(
            "tenants::objects_that_cannot_be_decoded_harm_no_other",
            poison::harmless,
        ),
        case(
            "tenants::a_missing_scheduler_harms_no_other",
            missing_scheduler::harmless,
        ),
        case(
            "tenants::ten_thousand_endpoints_harm_no_other",
            endpoints::harmless,
        ),
    ]
}

fn harmless() -> Outcome {
    let scene = Scene::start()?;
    let modules = modules()?;
    scene.phase("without others", || Ok(()))?;
    let schedulers: Vec<Value> = (0..1_000).map(with_unknown_scheduler).collect();
    scene.beside("1,000 unknown schedulers", &schedulers)?;
    scene.beside("300 ports at 100 external addresses", &[wide(0)])?;
    scene.beside("30 ports with 5,000 source ranges", &[guarded()])?;
    let wide: Vec<Value> = (1..=5).map(wide).collect();
    scene.beside("and 5 more with 300 ports at 100 addresses", &wide)?;

    let loaded: BTreeSet<String> = &self::modules()? - &modules;
    ensure(loaded.is_empty(), || {
        format!("kernel modules were loaded: {loaded:?}")
    })?;
    let log = scene.daemon.log();
    let lines = log.lines().count();
    println!("{lines} lines of log, {} bytes", log.len());
    ensure(lines <= LINES, || {
        format!("the log has {lines} lines, more than {LINES}")
    })?;
    let control = |text: &char| text.is_control() && *text != '\n';
    ensure(
        !log.chars().any(|each| control(&each)),
        || "the log has a control character",
    )?;
    ensure(
        log.contains("KIV0115") && log.contains("KIV0118"),
        || "the log lacks KIV0115 or KIV0118",
    )
}

/// Returns the names of the loaded kernel modules.
fn modules() -> Outcome<BTreeSet<String>> {
    let path = "/proc/modules";
    let text = std::fs::read_to_string(path).context(|| path.to_owned())?;
    let names = text.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

/// Returns a Service with an unknown scheduler; some names are those of modules of another kind.
fn with_unknown_scheduler(number: u16) -> Value {
    let name = match number % 4 {
        0 => "ftp".to_owned(),
        1 => "pe_sip".to_owned(),
        2 => format!("x{number}\n2026 ERROR forged \u{1b}[2J"),
        _ => format!("x{number}"),
    };
    with_scheduler(number, &name)
}

fn ports(count: u16) -> Value {
    let port = |number: u16| json!({"name": format!("p{number}"), "port": 1_000 + number});
    (0..count).map(port).collect()
}

fn wide(number: u8) -> Value {
    let at = IpAddr::from([10, 96, 2, 10 + number]);
    let mut service = objects::service(&format!("wide-{number}"), &[at], &[]);
    let external = |last: u8| IpAddr::from([198, 51, 100 + number, last + 1]);
    service["spec"]["ports"] = ports(300);
    service["spec"]["externalIPs"] = (0..100).map(|number| json!(external(number))).collect();
    service
}

fn guarded() -> Value {
    let mut service = objects::service("guarded", &[IpAddr::from([10, 96, 2, 2])], &[]);
    let range = |number: u16| {
        let [high, low] = number.to_be_bytes();
        json!(format!("172.{}.{low}.0/28", 16 + high))
    };
    service["spec"]["type"] = json!("LoadBalancer");
    service["spec"]["ports"] = ports(30);
    service["spec"]["externalIPs"] = json!(["198.51.100.200"]);
    service["spec"]["loadBalancerSourceRanges"] = (0..5_000).map(range).collect();
    service
}
