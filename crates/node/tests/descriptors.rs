//! Tests with a lack of file descriptors. They lower the limit of their own process, so they are a
//! separate test program, run one after the other, and use clients in other processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipvs::AddressFamily;
use libtest_mimic::{Arguments, Trial};
use model::frontend::HealthCheck;
use model::names::ObjectName;
use model::{ClusterEvent, ObjectKind};
use node::health::Moment;
use node::health_checks::ListenOn;
use node::http::Share;
use node::http::telemetry::{ServeErrors, Settings, Telemetry};
use node::metrics::TrafficOptions;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sources::{EventSink, NodeOverrides, Progress, SourceConfig, SourceEvent};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Limit of open files in these tests.
const DESCRIPTORS: u64 = 128;

/// Environment variable with the addresses that [`flood_client`] floods. If it is set, this program
/// runs as that client.
const FLOOD: &str = "FLOOD";

/// Number of connections of the flood to each address.
const EACH: usize = 100;

fn main() -> ExitCode {
    if let Ok(addresses) = std::env::var(FLOOD) {
        flood_client(&addresses);
        return ExitCode::SUCCESS;
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial(
            "a_flood_of_every_other_port_leaves_descriptors_for_the_health_pages",
            a_flood_of_every_other_port_leaves_descriptors_for_the_health_pages,
        ),
        trial(
            "without_descriptors_a_connection_waits_and_nothing_spins",
            without_descriptors_a_connection_waits_and_nothing_spins,
        ),
        trial(
            "a_change_that_could_not_be_read_is_read_later",
            a_change_that_could_not_be_read_is_read_later,
        ),
    ];
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

struct Node {
    health: SocketAddr,
    metrics: SocketAddr,
    telemetry: Telemetry,
    _errors: ServeErrors,
    _stop: watch::Sender<bool>,
    _runtime: Runtime,
}

/// Returns an address with a port that only this program uses, below the kernel's range of
/// ephemeral ports.
fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 31;
        let port = 10_000 + u16::try_from(number % 20_000).expect("a small number");
        if TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() {
            return (Ipv4Addr::LOCALHOST, port).into();
        }
    }
}

fn lower_limit() {
    let limit = Rlimit {
        current: Some(DESCRIPTORS),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");
}

/// Opens files until the limit of the process is reached.
fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

impl Node {
    fn start() -> Self {
        lower_limit();
        let runtime = Runtime::new().expect("a runtime");
        let (stop, stopped) = watch::channel(false);
        let text = "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n";
        let file = sources::config::parse("file", text).expect("a valid file");
        let resolved = file.resolve(&NodeOverrides::default(), "host");
        let (_, config) = watch::channel(Arc::new(resolved.expect("a valid file")));
        let (health, metrics) = (free(), free());
        let settings = Settings {
            health: Some(health),
            metrics: Some(metrics),
            hard_fail: true,
            families: BTreeSet::from([AddressFamily::Ipv4]),
            sync_period: Duration::from_secs(3600),
            node_name: "node1".into(),
            progress: Progress::default(),
            requests: None,
            flags: std::collections::BTreeMap::new(),
            traffic: TrafficOptions::default(),
            config,
            descriptors: DESCRIPTORS,
        };
        let (telemetry, errors) =
            Telemetry::start(settings, runtime.handle(), &stopped, Moment::now())
                .expect("it starts");
        let node = Self {
            health,
            metrics,
            telemetry,
            _errors: errors,
            _stop: stop,
            _runtime: runtime,
        };
        // An answer proves that the connection was accepted.
        for address in [health, metrics] {
            status(&mut wait_for(address), "/");
        }
        node.wait_until_closed();
        node
    }

    /// Waits until the servers have closed all connections, so that no descriptor becomes free
    /// during a test.
    fn wait_until_closed(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        for share in Share::ALL {
            let series = format!(r#"kubeipvs_http_connections{{share="{}"}}"#, share.name());
            while self.metric(&series) > 0.0 {
                assert!(Instant::now() < deadline, "{series}");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn metric(&self, series: &str) -> f64 {
        let text = (self.telemetry.metrics())
            .text(Instant::now())
            .expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.expect(series).trim().parse().expect("a number")
    }
}

fn wait_for(address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(stream) = TcpStream::connect(address) {
            return stream;
        }
        assert!(Instant::now() < deadline, "no server listens at {address}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Requests `path` and returns the status line.
fn status(stream: &mut TcpStream, path: &str) -> String {
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).expect("a time limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").expect("it is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text.lines().next().unwrap_or_default().to_owned()
}

/// Runs the client of the flood. It holds its connections until its standard input ends.
fn flood_client(addresses: &str) {
    let addresses: Vec<SocketAddr> = (addresses.split(','))
        .map(|address| address.parse().expect("an address"))
        .collect();
    let mut connections = Vec::new();
    for _ in 0..EACH {
        for address in &addresses {
            let mut stream = TcpStream::connect(address).expect("a connection");
            // Send an incomplete head.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
            connections.push(stream);
        }
    }
    eprintln!("flooded");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn flood(addresses: &[SocketAddr]) -> Child {
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    // The client uses the hard limit of this process, if a shell can raise it.
    Command::new("sh")
        .args(["-c", "ulimit -n $(ulimit -Hn); exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("this program"))
        .env(FLOOD, addresses.join(","))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts")
}

fn a_flood_of_every_other_port_leaves_descriptors_for_the_health_pages() {
    let node = Node::start();
    let ports = [free(), free(), free()];
    let checks: BTreeMap<_, _> = (ports.iter())
        .map(|address| {
            let check = HealthCheck {
                port: NonZeroU16::new(address.port()).expect("a port"),
                local_endpoints: 1,
                families: BTreeSet::new(),
            };
            (
                ObjectName::new("shop", format!("web{}", address.port())),
                check,
            )
        })
        .collect();
    (node.telemetry).health_checks(&ListenOn::Everywhere, &checks, false);
    for port in ports {
        wait_for(port);
    }
    let mut client = flood(&[node.metrics, ports[0], ports[1], ports[2]]);
    let mut output = client.stderr.take().expect("an output");
    let mut flooded = [0; 7];
    output
        .read_exact(&mut flooded)
        .expect("the client connects");
    assert_eq!(&flooded, b"flooded");
    for (share, limit) in [("health", 16.0), ("common", 32.0)] {
        let series = format!("kubeipvs_http_connections_limit{{share=\"{share}\"}}");
        assert_eq!(node.metric(&series), limit, "{series}");
    }
    // The flood has four addresses, and the last connections may still wait to be accepted.
    let displaced = r#"kubeipvs_http_connections_displaced_total{share="common"}"#;
    let deadline = Instant::now() + Duration::from_secs(60);
    while node.metric(displaced) < (4 * EACH - 32) as f64 {
        assert!(Instant::now() < deadline, "{}", node.metric(displaced));
        std::thread::sleep(Duration::from_millis(5));
    }
    for path in ["/livez", "/healthz"] {
        let mut stream = TcpStream::connect(node.health).expect("a connection");
        assert_eq!(status(&mut stream, path), "HTTP/1.1 200 OK");
    }
    for series in [
        r#"kubeipvs_http_accept_failures_total{share="health"}"#,
        r#"kubeipvs_http_accept_failures_total{share="common"}"#,
        r#"kubeipvs_http_connections_displaced_total{share="health"}"#,
    ] {
        assert_eq!(node.metric(series), 0.0, "{series}");
    }
    assert!(node.metric(r#"kubeipvs_http_connections{share="common"}"#) <= 32.0);
    assert_eq!(node.metric("process_max_fds"), DESCRIPTORS as f64);
    drop(client.stdin.take());
    let _ = client.wait();
}

fn without_descriptors_a_connection_waits_and_nothing_spins() {
    let node = Node::start();
    let series = r#"kubeipvs_http_accept_failures_total{share="health"}"#;
    let mut files = all_descriptors();
    // Free one descriptor for the client.
    files.pop();
    let began = Instant::now();
    let mut client = TcpStream::connect(node.health).expect("a connection");
    while node.metric(series) < 3.0 {
        assert!(began.elapsed() < Duration::from_secs(60), "no failure");
        std::thread::sleep(Duration::from_millis(5));
    }
    let failures = node.metric(series);
    // A busy machine has fewer failures, never more.
    let most = began.elapsed().as_secs_f64() / 0.1 + 2.0;
    assert!(failures <= most, "{failures} in {:?}", began.elapsed());
    drop(files);
    assert_eq!(status(&mut client, "/livez"), "HTTP/1.1 200 OK");
}

/// The watch for changes takes the only free descriptor, so the folder cannot be listed. No further
/// change follows.
fn a_change_that_could_not_be_read_is_read_later() {
    lower_limit();
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let aside = tempfile::tempdir().expect("a folder");
    let service =
        "{apiVersion: v1, kind: Service, metadata: {name: late}, spec: {clusterIP: 10.96.0.1}}";
    std::fs::write(aside.path().join("late.yaml"), service).expect("a file");
    let (sender, mut events) = mpsc::channel(64);
    let source = SourceConfig::Files {
        paths: vec![folder.path().to_owned()],
        watch: true,
    };
    let sink = EventSink::new(source.names(), sender);
    runtime.spawn(sources::run(source, sink));
    let mut next = || {
        let event = async { timeout(Duration::from_secs(60), events.recv()).await };
        let event = runtime.block_on(event).expect("an event in time");
        event.expect("a running source")
    };
    // The empty folder.
    let mut lists = 0;
    while lists < ObjectKind::ALL.len() {
        lists += usize::from(matches!(
            next(),
            SourceEvent::Cluster(ClusterEvent::ListDone(_), _)
        ));
    }
    let files = all_descriptors();
    std::fs::rename(
        aside.path().join("late.yaml"),
        folder.path().join("late.yaml"),
    )
    .expect("the file moves");
    while !matches!(next(), SourceEvent::Trouble(_)) {}
    drop(files);
    while !matches!(next(), SourceEvent::Cluster(ClusterEvent::Upsert(_), _)) {}
}
