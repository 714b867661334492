//! Measures active health checks of endpoints: the daemon beside keepalived, with the same endpoints
//! and the same checks.
//!
//! All endpoints are addresses of one network namespace with one listener. An endpoint fails when
//! that namespace drops its packets, so that a probe runs into its timeout.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ipvs::client::Client;
use ipvs::{AddressFamily, Protocol, RealServerKey, VirtualServerKey};
use support::namespace::{self, bring_up, within};
use support::program::run;
use tokio::runtime::Runtime;

use crate::cluster::Cluster;
use crate::daemon::Files;
use crate::peers::Keepalived;
use crate::process::{Daemon, Usage, usage_of};
use crate::report::{figure, sample};
use crate::shape::Shape;
use crate::{Outcome, limit};

/// Rhythm of the checks of both programs: three failed probes at an interval of five seconds.
const CONFIG: &str = "\
apiVersion: kube-ipvs.io/v1alpha1
kind: KubeIpvsConfiguration
mode: ipvs
hostnameOverride: node-0
conntrack:
  maxPerCore: 0
healthChecks: {networks: [10.128.0.0/9]}
servicePolicies:
- name: checked
  policy: {healthCheck: \"type=tcp, interval=5s, timeout=1s, rise=1, fall=3\"}
";

/// The same for keepalived. A failed check is repeated twice before the real server is removed.
const TCP_CHECK: &str = "\
TCP_CHECK {
      connect_timeout 1
      delay_loop 5
      retry 2
      delay_before_retry 5
    }";

/// Port of all endpoints.
const PORT: u16 = 8080;

/// Time limit of a change of the table.
const SOON: Duration = Duration::from_secs(120);

/// Extent of the measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Duration in which processor time is counted.
    pub(crate) steady: Duration,
    /// Number of endpoints that fail, one after the other.
    pub(crate) failures: u32,
}

/// The namespace of the endpoints.
struct Pods {
    namespace: File,
    _listener: TcpListener,
}

impl Pods {
    /// Connects a new namespace with this one, and listens at every address of the endpoints.
    fn start() -> Outcome<Self> {
        let namespace = namespace::create()?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        run("ip", "link add pods type veth peer name node", "");
        run("ip", &format!("link set node netns {path}"), "");
        run("ip", "address add 192.0.2.1/24 dev pods", "");
        run("ip", "link set pods up", "");
        run("ip", "route add 10.128.0.0/9 via 192.0.2.2", "");
        let listener = within(&namespace, || {
            bring_up("lo");
            run("ip", "address add 192.0.2.2/24 dev node", "");
            run("ip", "link set node up", "");
            run("ip", "route add local 10.128.0.0/9 dev lo", "");
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))
        })?;
        let accepting = listener.try_clone()?;
        thread::spawn(move || accepting.incoming().for_each(drop));
        Ok(Self {
            namespace,
            _listener: listener,
        })
    }

    /// Drops the packets to `endpoint`, or stops dropping them.
    fn drop_packets(&self, endpoint: IpAddr, drops: bool) {
        let verb = if drops { "add" } else { "delete" };
        let route = format!("route {verb} blackhole {endpoint}/32 table local");
        within(&self.namespace, || run("ip", &route, ""));
    }
}

/// A program that checks the endpoints.
trait Checker {
    fn name(&self) -> &'static str;
    fn usage(&self) -> Outcome<Usage>;
}

impl Checker for Daemon {
    fn name(&self) -> &'static str {
        "kube-ipvs"
    }

    fn usage(&self) -> Outcome<Usage> {
        Daemon::usage(self)
    }
}

impl Checker for Keepalived {
    fn name(&self) -> &'static str {
        "keepalived"
    }

    fn usage(&self) -> Outcome<Usage> {
        usage_of(&self.processes()?)
    }
}

/// Measures the daemon, in the empty network namespace of this thread.
pub(crate) fn daemon(shape: Shape, measure: Measure, folder: &Path) -> Outcome {
    limit::prepare();
    let pods = Pods::start()?;
    let runtime = Runtime::new()?;
    let cluster = runtime.block_on(Cluster::start(shape))?;
    let files = Files::write(&cluster, folder, CONFIG)?;
    let daemon = Daemon::start(&files)?;
    eprintln!("bench: {}", daemon.synced(SOON)?);
    let targets = page("/healthchecks")?.matches("\"state\"").count();
    if targets as u64 != shape.endpoints_of_all() {
        return Err(format!("kube-ipvsd checks {targets} endpoints, not all").into());
    }
    all(shape, measure, &pods, &daemon)
}

/// Measures keepalived, in the empty network namespace of this thread.
pub(crate) fn keepalived(shape: Shape, measure: Measure, folder: &Path) -> Outcome {
    let pods = Pods::start()?;
    let mut servers = Vec::new();
    for service in 0..shape.services {
        let endpoints = (0..shape.endpoints).map(|endpoint| real_server(shape, service, endpoint));
        servers.push((virtual_server(shape, service), endpoints.collect()));
    }
    let mut keepalived = Keepalived::start(&servers, TCP_CHECK, folder)?;
    keepalived.wait(SOON)?;
    all(shape, measure, &pods, &keepalived)
}

fn all(shape: Shape, measure: Measure, pods: &Pods, checker: &impl Checker) -> Outcome {
    // Until every endpoint was probed, and memory of the start is returned.
    thread::sleep(Duration::from_secs(15));
    let who = checker.name();
    let before = checker.usage()?;
    let began = Instant::now();
    let mut sockets = 0;
    while began.elapsed() < measure.steady {
        thread::sleep(Duration::from_millis(200));
        sockets = sockets.max(checker.usage()?.sockets);
    }
    let after = checker.usage()?;
    let processor = after.processor.saturating_sub(before.processor);
    let minute = processor.mul_f64(60.0 / began.elapsed().as_secs_f64());
    sample("checks: processor time in a minute", shape, who, minute);
    let show = |what: &str, value: f64, unit: &str| {
        figure("checks", shape, &format!("{who}: {what}"), value, unit);
    };
    show("processor", 100.0 * minute.as_secs_f64() / 60.0, "% of one");
    show(
        "memory, resident",
        after.resident as f64 / f64::from(1 << 20),
        "MiB",
    );
    show(
        "memory, resident, without files",
        after.anonymous as f64 / f64::from(1 << 20),
        "MiB",
    );
    show("open sockets, maximum", sockets as f64, "");
    let mut client = Client::open()?;
    for failure in 0..measure.failures {
        let service = failure * 7 % shape.services;
        let place = (
            virtual_server(shape, service),
            real_server(shape, service, 1),
        );
        // The phases of the probes differ.
        thread::sleep(Duration::from_millis(700) * failure);
        for (drops, what) in [
            (
                true,
                "checks: from the failure until IPVS avoids the endpoint",
            ),
            (false, "checks: from the recovery until IPVS uses it"),
        ] {
            pods.drop_packets(place.1.address, drops);
            let began = Instant::now();
            while is_used(&mut client, place)? == drops {
                if began.elapsed() > SOON {
                    return Err(format!("{who} does not notice {}", place.1.address).into());
                }
                thread::sleep(Duration::from_millis(10));
            }
            sample(what, shape, who, began.elapsed());
        }
    }
    Ok(())
}

fn is_used(
    client: &mut Client,
    (server, real): (VirtualServerKey, RealServerKey),
) -> Outcome<bool> {
    let servers = client.real_servers(&server)?;
    Ok((servers.iter()).any(|status| status.server.key == real && status.server.weight > 0))
}

fn virtual_server(shape: Shape, service: u32) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: shape.cluster_ip(service, AddressFamily::Ipv4),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

fn real_server(shape: Shape, service: u32, endpoint: u32) -> RealServerKey {
    RealServerKey {
        address: shape.pod(service, endpoint, AddressFamily::Ipv4),
        port: PORT,
    }
}

/// Returns a page of the daemon's metrics port.
fn page(path: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 10249))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
