//! A good Service whose endpoints change while other Services cause trouble.

use std::cell::Cell;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{
    ApiServer, Context as _, Failure, Outcome, Process, Protocol, World, ensure, get, objects,
    within,
};
use serde_json::{Value, json};

/// Time limit for one change. The actual time is printed.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Number of changes of the good Service in one phase.
const CHANGES: u8 = 10;

/// The daemon's health pages, on the node.
const HEALTH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10_256);

/// A world with an API server, the daemon, and the good Service.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) api: ApiServer,
    pub(super) daemon: Process,
    /// Number of lines in the log before the phase.
    lines: Cell<usize>,
}

impl Scene {
    /// Starts the scene. Returns once the daemon has synchronised.
    pub(super) fn start() -> Outcome<Self> {
        Self::start_with(|_, _| Ok(()))
    }

    /// Starts the scene. Calls `prepare` with the API server and the daemon's command before the
    /// daemon starts.
    pub(super) fn start_with(
        prepare: impl FnOnce(&ApiServer, &mut Command) -> Outcome,
    ) -> Outcome<Self> {
        let world = World::build(1)?;
        let good = [
            objects::service("good", &[address(1)], &[Protocol::Tcp]),
            objects::slice("good", &[endpoint(1)], &[Protocol::Tcp]),
        ];
        let load = world.write_objects("load.json", good.to_vec())?;
        let api = ApiServer::start(&world, &[&load])?;
        let config = world.config(&[])?;
        let mut command = world.daemon_command();
        command.arg("--kubeconfig").arg(&api.kubeconfig);
        command.arg("--config").arg(&config);
        prepare(&api, &mut command)?;
        let daemon = Process::start("kube-ipvsd", command)?;
        daemon.wait_for_log(LIMIT, &["synced: "])?;
        let lines = Cell::new(0);
        Ok(Self {
            world,
            api,
            daemon,
            lines,
        })
    }

    /// Creates `tenants`, then changes the good Service several times.
    pub(super) fn beside(&self, what: &str, tenants: &[Value]) -> Outcome {
        self.phase(what, || self.api.create_all(tenants))
    }

    /// Calls `begin`, then moves the good Service from endpoint to endpoint.
    pub(super) fn phase(&self, what: &str, begin: impl FnOnce() -> Outcome) -> Outcome {
        let start = Instant::now();
        begin()?;
        let mut took = Vec::new();
        for number in 0..CHANGES {
            let endpoint = endpoint(number + 10);
            let slice = objects::slice("good", &[endpoint], &[Protocol::Tcp]);
            self.api.replace(&slice)?;
            let begin = Instant::now();
            within(LIMIT, || self.serves(address(1), endpoint))?;
            took.push(begin.elapsed());
            std::thread::sleep(Duration::from_secs(1));
        }
        took.sort_unstable();
        let mut line = format!("{what}: a change takes {:.0?}", took[took.len() / 2]);
        let _ = write!(line, ", at most {:.0?}", took[took.len() - 1]);
        let _ = write!(line, "; the daemon used {} at most", self.peak()?);
        let lines = self.lines();
        let new = lines - self.lines.replace(lines);
        let rate = 60.0 * new as f64 / start.elapsed().as_secs_f64();
        println!("{line}; {new} lines of log, {rate:.0} a minute");
        Ok(())
    }

    /// Returns the number of lines of the daemon's log.
    pub(super) fn lines(&self) -> usize {
        self.daemon.log().lines().count()
    }

    /// Fails unless `endpoint` is a real server of the virtual server at port 80 of `address`.
    pub(super) fn serves(&self, address: IpAddr, endpoint: IpAddr) -> Outcome {
        let table = self.world.tool(&format!("ipvsadm -L -n -t {address}:80"))?;
        ensure(table.contains(&format!("{endpoint}:")), || {
            format!("endpoint {endpoint} is missing in:\n{table}")
        })
    }

    /// Fails unless the daemon reports that it is ready and live.
    pub(super) fn is_ready(&self) -> Outcome {
        for page in ["/readyz", "/livez"] {
            within(LIMIT, || {
                let (status, body) = get(&self.world.node, HEALTH, page)?;
                ensure(status == 200, || {
                    format!("{page}: expected status 200, found {status} {body}")
                })
            })?;
        }
        Ok(())
    }

    /// Returns the daemon's peak resident memory.
    fn peak(&self) -> Outcome<String> {
        let path = format!("/proc/{}/status", self.daemon.id()?);
        let status = std::fs::read_to_string(&path).context(|| path.clone())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let line = line.ok_or_else(|| Failure::new("the daemon has ended"))?;
        Ok(line.trim().to_owned())
    }
}

/// Returns the cluster IP of this number. The good Service has number 1.
pub(super) fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 96, 0, number])
}

/// Returns the endpoint address of this number. It belongs to no pod.
pub(super) fn endpoint(number: u8) -> IpAddr {
    IpAddr::from([10, 100, 0, number])
}

/// Returns the cluster IP of the tenant of this number.
pub(super) fn tenant_address(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([10, 96, 128 + high, low])
}

/// Returns a Service of a tenant with this scheduler.
pub(super) fn with_scheduler(number: u16, scheduler: &str) -> Value {
    let at = tenant_address(number);
    let mut service = objects::service(&format!("tenant-{number}"), &[at], &[Protocol::Tcp]);
    service["metadata"]["annotations"] = json!({"kube-ipvs.io/scheduler": scheduler});
    service
}
