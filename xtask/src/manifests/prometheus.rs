//! The alerts and the dashboard with Prometheus' own parser.
//!
//! promtool runs the unit tests of `manifests/tests/alerts.yaml`, in which each alert must fire. It
//! also parses the dashboard's queries, which are written as recording rules for that.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

use super::Check;
use super::tools::Tools;
use crate::error::{Context, Result};
use crate::files;
use crate::project::{Project, list};
use crate::vm::shell;

/// Values for the variables in the dashboard's queries.
const VARIABLES: [(&str, &str); 6] = [
    ("$__rate_interval", "5m"),
    ("$__range", "1h"),
    ("$cluster", ".*"),
    ("$node", ".*"),
    ("$namespace", ".*"),
    ("$service", ".*"),
];

pub(super) fn checks(project: &Project, tools: &Tools) -> Result<Vec<Check>> {
    let manifests = project.root.join("manifests");
    let directory = project.vm(format!("prometheus-{}", std::process::id()));
    files::create(&directory)?;
    let rules: Value = read(&manifests.join("components/monitoring/rules.yaml"))?;
    let tests = files::read(&manifests.join("tests/alerts.yaml"))?;
    files::write(&directory.join("rules.yaml"), rules["spec"].to_string())?;
    files::write(&directory.join("alerts.yaml"), &tests)?;
    let dashboard = files::read(&manifests.join("components/monitoring/dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard).context(|| "dashboard.json")?;
    let queries = as_rules(&queries(&dashboard));
    files::write(&directory.join("queries.yaml"), queries.to_string())?;
    let promtool = |arguments: &[&str], file: &str| {
        let file = directory.join(file).to_string_lossy().into_owned();
        let program = tools.promtool.to_string_lossy().into_owned();
        shell::output(&program, &[arguments, &[&file]].concat()).map(|_| Vec::new())
    };
    let tests = serde_saphyr::from_str(&tests).context(|| "alerts.yaml")?;
    let all = vec![
        Check::new(
            "alerts::are_valid",
            promtool(&["check", "rules"], "rules.yaml"),
        ),
        Check::new(
            "alerts::fire_and_do_not_fire",
            promtool(&["test", "rules"], "alerts.yaml"),
        ),
        Check::new("alerts::each_has_a_test", Ok(untested(&rules, &tests))),
        Check::new(
            "dashboard::queries_are_valid",
            promtool(&["check", "rules"], "queries.yaml"),
        ),
    ];
    files::remove(&directory)?;
    Ok(all)
}

fn read(path: &Path) -> Result<Value> {
    serde_saphyr::from_str(&files::read(path)?).context(|| path.display().to_string())
}

/// Returns complaints about alerts that no test expects to fire.
pub(super) fn untested(rules: &Value, tests: &Value) -> Vec<String> {
    let fired: BTreeSet<&str> = list(&tests["tests"])
        .flat_map(|test| list(&test["promql_expr_test"]))
        .flat_map(|query| list(&query["exp_samples"]))
        .filter_map(|sample| sample["labels"].as_str()?.split('"').nth(1))
        .collect();
    list(&rules["spec"]["groups"])
        .flat_map(|group| list(&group["rules"]))
        .filter_map(|rule| rule["alert"].as_str())
        .filter(|alert| !fired.contains(alert))
        .map(|alert| format!("no test of manifests/tests/alerts.yaml lets {alert} fire"))
        .collect()
}

/// Returns the queries of all panels, with values for the variables.
pub(super) fn queries(dashboard: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for panel in list(&dashboard["panels"]) {
        all.extend(queries(panel));
        for target in list(&panel["targets"]).filter_map(|target| target["expr"].as_str()) {
            let replaced = VARIABLES
                .iter()
                .fold(target.to_owned(), |text, (name, value)| {
                    text.replace(name, value)
                });
            all.push(replaced);
        }
    }
    all
}

fn as_rules(queries: &[String]) -> Value {
    let rule =
        |(at, query): (usize, &String)| json!({"record": format!("panel:{at}"), "expr": query});
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    json!({"groups": [{"name": "dashboard", "rules": rules}]})
}
