//! A world with an API server, objects that change, and the daemon.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::{
    ApiServer, Context as _, Family, Knock, Namespace, Outcome, Pod, Probe, Process, Protocol,
    World, ensure, get, knock, scaled, within,
};
use serde_json::Value;

use crate::proxy::has_synced;
use crate::service::{Address, Endpoint, FAMILIES, Service, node};

/// Time limit for a change to affect packets.
const SOON: Duration = Duration::from_secs(2);
/// Time limit for a refusal, which takes some milliseconds. TCP would send a first packet again
/// only later.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Time limit of the first synchronisation.
const FIRST: Duration = Duration::from_secs(30);

/// The daemon's address for metrics and state, on the node.
pub(crate) const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10_249);

/// A world with an API server and the daemon. The node has 192.168.50.1 and fd00:50::1 towards the
/// client.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) api: ApiServer,
    pub(crate) daemon: Process,
    config: PathBuf,
}

impl Stage {
    /// Starts the stage with pods of these names and the objects that `objects` returns; `ipvs` are
    /// lines of that section of the configuration. Returns once the daemon has synchronised.
    pub(crate) fn start(
        pods: &[&str],
        ipvs: &[&str],
        objects: impl FnOnce(&World) -> Vec<Value>,
    ) -> Outcome<Self> {
        Self::configured(pods, &configuration(ipvs), objects)
    }

    /// Starts the stage as [`start`](Self::start) does, with this text as the configuration.
    pub(crate) fn configured(
        pods: &[&str],
        configuration: &str,
        objects: impl FnOnce(&World) -> Vec<Value>,
    ) -> Outcome<Self> {
        let world = World::with_pods(pods)?;
        world.node.unlimited_icmp()?;
        let addresses = FAMILIES.map(node_address);
        let mut all = vec![node("node1", &addresses)];
        all.extend(objects(&world));
        let load = world.write_objects("load.json", all)?;
        let config = world.write("config.yaml", configuration)?;
        let api = ApiServer::start(&world, &[&load])?;
        let daemon = start_daemon(&world, &api, &config, &[])?;
        let stage = Self {
            world,
            api,
            daemon,
            config,
        };
        has_synced(&stage.daemon)?;
        Ok(stage)
    }

    /// Starts another daemon with the same configuration.
    pub(crate) fn another_daemon(&self) -> Outcome<Process> {
        start_daemon(&self.world, &self.api, &self.config, &[])
    }

    /// Stops the daemon and starts it again with additional options. Returns once it has
    /// synchronised.
    pub(crate) fn restart_daemon(&mut self, options: &[&str]) -> Outcome {
        self.stop_daemon()?;
        self.start_daemon(options)
    }

    /// Stops the daemon as an upgrade does.
    pub(crate) fn stop_daemon(&mut self) -> Outcome {
        let status = self.daemon.terminate()?;
        ensure(status.success(), || format!("ended with {status}"))
    }

    /// Starts the daemon after it was stopped, with additional options. Returns once it has
    /// synchronised.
    pub(crate) fn start_daemon(&mut self, options: &[&str]) -> Outcome {
        self.daemon = start_daemon(&self.world, &self.api, &self.config, options)?;
        // If there is nothing to do, the log does not mention the synchronisation.
        within(FIRST, || {
            let (_, status) = get(&self.world.node, METRICS, "/statusz?format=json")?;
            ensure(status["lastSync"].is_object(), || {
                format!("the daemon has not synchronised yet: {status}")
            })
        })
    }

    /// Replaces the endpoints of a Service in both families by these pods; see [`slices`].
    pub(crate) fn set_endpoints(&self, service: Service, pods: &[&str]) -> Outcome {
        let slices = slices(&self.world, service, pods);
        slices.iter().try_for_each(|slice| self.api.replace(slice))
    }

    pub(crate) fn pod(&self, name: &str) -> Outcome<&Pod> {
        let pod = self.world.pods.iter().find(|pod| pod.name == name);
        pod.ok_or_else(|| e2e::Failure::new(format!("no pod {name}")))
    }

    /// Fails unless exactly these pods soon answer the client, in both families and over all
    /// protocols.
    pub(crate) fn soon_served_by(&self, service: Service, kind: Address, pods: &[&str]) -> Outcome {
        within(SOON, || {
            for family in FAMILIES {
                let target = service.at(kind, family);
                served_by(&self.world.client, target, pods)?;
            }
            Ok(())
        })
    }
}

/// Returns the slices of a Service with these pods, all on the node. A pod whose name begins with
/// `-` terminates and still serves, one with `!` terminates and does not serve.
pub(crate) fn slices(world: &World, service: Service, pods: &[&str]) -> Vec<Value> {
    let of_family = |family: Family| {
        let endpoint = |name: &&str| {
            let plain = name.trim_start_matches(['-', '!']);
            let pod = world.pods.iter().find(|pod| pod.name == plain)?;
            Some(Endpoint {
                terminating: plain != *name,
                serving: !name.starts_with('!'),
                ..Endpoint::ready(family.of(pod), "node1")
            })
        };
        let endpoints: Vec<_> = pods.iter().filter_map(endpoint).collect();
        service.slice(family, &endpoints)
    };
    FAMILIES.map(of_family).to_vec()
}

/// Returns a Service with its slices.
pub(crate) fn with_slices(
    world: &World,
    service: Service,
    object: Value,
    pods: &[&str],
) -> Vec<Value> {
    let mut all = vec![object];
    all.extend(slices(world, service, pods));
    all
}

/// Fails unless exactly these pods answer, over all protocols.
pub(crate) fn served_by(from: &Namespace, target: SocketAddr, pods: &[&str]) -> Outcome {
    for protocol in Protocol::ALL {
        let tally = Probe::new(from, protocol, target)
            .ask(2 * pods.len())
            .complete()
            .context(|| format!("{target}/{protocol}"))?;
        let by_pod = tally.by_pod();
        ensure(by_pod.keys().eq(pods), || {
            format!("{target}/{protocol}: expected answers of {pods:?}, found {by_pod:?}")
        })?;
    }
    Ok(())
}

/// Fails unless a connection and a datagram are refused at once.
pub(crate) fn refused(from: &Namespace, target: SocketAddr) -> Outcome {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let begin = Instant::now();
        let found = knock(from, None, protocol, target, SOON);
        let time = begin.elapsed();
        let reset = Knock::Other("Connection refused (os error 111)".to_owned());
        let refused = found == Knock::PortUnreachable || found == reset;
        ensure(refused && time < scaled(AT_ONCE), || {
            format!("{target}/{protocol} is not refused at once: {found:?} after {time:?}")
        })?;
    }
    Ok(())
}

/// Returns the node's address towards the client.
pub(crate) fn node_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 168, 50, 1].into(),
        Family::V6 => [0xfd00, 0x50, 0, 0, 0, 0, 0, 1].into(),
    }
}

/// Returns a configuration with these lines in its section `ipvs`.
pub(crate) fn configuration(ipvs: &[&str]) -> String {
    // Only the initial network namespace can change the size of the conntrack table.
    let mut text = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
conntrack:
  maxPerCore: 0
  min: 0
ipvs:
  syncPeriod: 30s
"
    .to_owned();
    for line in ipvs {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// Returns [`configuration`] in kube-ipvs' own kind, with fields that kube-proxy does not have.
pub(crate) fn own_configuration(fields: &[&str]) -> String {
    let mut text = own_ipvs_configuration(&[]);
    for line in fields {
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// Returns [`configuration`] in kube-ipvs' own kind.
pub(crate) fn own_ipvs_configuration(ipvs: &[&str]) -> String {
    configuration(ipvs)
        .replace("kubeproxy.config.k8s.io/v1alpha1", "kube-ipvs.io/v1alpha1")
        .replace("KubeProxyConfiguration", "KubeIpvsConfiguration")
}

fn start_daemon(
    world: &World,
    api: &ApiServer,
    config: &Path,
    options: &[&str],
) -> Outcome<Process> {
    let mut arguments: Vec<&dyn AsRef<OsStr>> =
        vec![&"--kubeconfig", &api.kubeconfig, &"--config", &config];
    arguments.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
    world.daemon(&arguments)
}
