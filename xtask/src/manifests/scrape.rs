//! A real Prometheus that scrapes a page with every metric of `docs/reference/metrics.md`. Each
//! query of the dashboard must return data: names, labels and the joins between them are right.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Check;
use super::prometheus::queries;
use super::tools::Tools;
use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;
use crate::vm::shell;

/// Time for the start of Prometheus and its first scrapes.
const DEADLINE: Duration = Duration::from_secs(90);

/// Values of labels for which the dashboard has conditions. All others have the value `x`.
const VALUES: [(&str, &str); 2] = [("level", "error"), ("state", "failing")];

/// Upper bounds of the buckets of every histogram.
const BUCKETS: [&str; 3] = ["0.5", "1", "+Inf"];

pub(super) fn checks(project: &Project, tools: &Tools) -> Result<Vec<Check>> {
    let manifests = project.root.join("manifests/components/monitoring");
    let dashboard = files::read(&manifests.join("dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard).context(|| "dashboard.json")?;
    let reference = files::read(&project.root.join("docs/reference/metrics.md"))?;
    let result = without_data(project, tools, &queries(&dashboard), &reference);
    Ok(vec![Check::new("dashboard::queries_return_data", result)])
}

/// Returns complaints about queries without data.
fn without_data(
    project: &Project,
    tools: &Tools,
    queries: &[String],
    reference: &str,
) -> Result<Vec<String>> {
    let metrics = metrics(reference);
    let target = Target::start(metrics)?;
    let prometheus = Prometheus::start(project, tools, target.address)?;
    let started = Instant::now();
    while prometheus.query("count_over_time(up[1m]) >= 3")?.is_empty() {
        if started.elapsed() > DEADLINE {
            return Err(Error::new("Prometheus did not scrape the page"));
        }
        thread::sleep(Duration::from_millis(500));
    }
    let mut all = Vec::new();
    for query in queries {
        if prometheus.query(query)?.is_empty() {
            all.push(format!("no data: {query}"));
        }
    }
    Ok(all)
}

/// A metric of the reference.
pub(super) struct Metric {
    name: String,
    kind: String,
    labels: Vec<String>,
}

/// Returns the metrics in the tables of a page.
pub(super) fn metrics(reference: &str) -> Vec<Metric> {
    let code = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let mut all = Vec::new();
    for line in reference.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, kind @ ("counter" | "gauge" | "histogram"), labels, ..] = cells[..] {
            all.extend(code(name).map(|name| Metric {
                name,
                kind: kind.to_owned(),
                labels: labels.split(", ").filter_map(code).collect(),
            }));
        }
    }
    all
}

/// Returns a page with the metrics. Counters and the start of the process grow with `number`.
pub(super) fn page(metrics: &[Metric], number: u64) -> String {
    let mut page = String::new();
    for Metric { name, kind, labels } in metrics {
        let value_of = |label: &str| VALUES.iter().find(|(name, _)| *name == label);
        let label = |label: &String| {
            let value = value_of(label).map_or("x", |(_, value)| value);
            format!("{label}=\"{value}\"")
        };
        let labels: Vec<String> = labels.iter().map(label).collect();
        let grows = kind == "counter" || name == "process_start_time_seconds";
        let mut line = |suffix: &str, more: Option<String>, value: u64| {
            let labels: Vec<String> = labels.iter().cloned().chain(more).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{name}{suffix}{{{}}} {value}", labels.join(","));
        };
        if kind == "histogram" {
            for bound in BUCKETS {
                line("_bucket", Some(format!("le=\"{bound}\"")), number);
            }
            line("_sum", None, number);
            line("_count", None, number);
        } else {
            line("", None, if grows { number } else { 1 });
        }
    }
    page
}

/// A server of the page, until it is dropped.
struct Target {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Target {
    fn start(metrics: Vec<Metric>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context(|| "listening for Prometheus")?;
        let address = listener
            .local_addr()
            .context(|| "listening for Prometheus")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, number) = (Arc::clone(&stop), AtomicU64::new(0));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let page = page(&metrics, number.fetch_add(1, Ordering::SeqCst) + 1);
                let _ = answer(&mut stream, &page);
            }
        });
        Ok(Target { address, stop })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread, which ends then.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(stream: &mut TcpStream, page: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = [0; 4096];
    let _ = stream.read(&mut head)?;
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )
}

/// A Prometheus with one target, until it is dropped.
struct Prometheus<'a> {
    child: Child,
    tools: &'a Tools,
    url: String,
    directory: std::path::PathBuf,
}

impl<'a> Prometheus<'a> {
    fn start(project: &Project, tools: &'a Tools, target: SocketAddr) -> Result<Self> {
        let directory = project.vm(format!("scrape-{}", std::process::id()));
        let labels = json!({"node": "n1", "container": "kube-ipvs"});
        let configuration = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{
                "job_name": "kube-ipvs",
                "static_configs": [{"targets": [target.to_string()], "labels": labels}],
            }],
        });
        let file = directory.join("prometheus.yaml");
        files::write(&file, configuration.to_string())?;
        let address = free_address()?;
        let child = Command::new(&tools.prometheus)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(|| format!("starting {}", tools.prometheus.display()))?;
        Ok(Prometheus {
            child,
            tools,
            url: format!("http://{address}"),
            directory,
        })
    }

    /// Returns the lines of an answer, none while Prometheus does not listen yet.
    fn query(&self, query: &str) -> Result<String> {
        let promtool = self.tools.promtool.to_string_lossy().into_owned();
        match shell::output(&promtool, &["query", "instant", &self.url, query]) {
            Ok(answer) => Ok(answer.trim().to_owned()),
            Err(error) if error.to_string().contains("connection refused") => Ok(String::new()),
            // Prometheus answers 503 until its storage is ready.
            Err(error) if error.to_string().contains("503") => Ok(String::new()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = files::remove(&self.directory);
    }
}

/// Returns an address that was free a moment ago: Prometheus cannot report the port that it chose.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0");
    let address = listener.and_then(|listener| listener.local_addr());
    address.context(|| "looking for a free port")
}
