//! A node with the rendered tables in its kernel, a neighbour, and a client.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::OnceLock;

use e2e::{Context as _, Failure, Family, Namespace, Neighbour, Outcome, Pod, Rendered, World};

use crate::objects::{self, At};

/// A port at which a socket of the node listens, at every address.
pub(crate) const HOST_PORT: u16 = 22;

const NODE_STATE: &str = "\
nodeName: node1
interfaces:
  - {name: outside, addresses: [192.168.50.1/24, \"fd00:50::1/64\"]}
  - {name: beside, addresses: [192.168.79.10/24, \"fd00:79::10/64\"]}
  - {name: cni0, addresses: [10.244.0.1/24, \"fd00:10:244::1/64\"]}
";

const CONFIG: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
";

/// The world that all cases share.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) neighbour: Neighbour,
    host: Pod,
    /// The output of `ipvsctl render`.
    pub(crate) rendered: Rendered,
    _host_tcp: TcpListener,
    _host_udp: UdpSocket,
}

static SITE: OnceLock<Outcome<Site>> = OnceLock::new();

/// Returns the site. The first caller builds it.
pub(crate) fn site() -> Outcome<&'static Site> {
    SITE.get_or_init(Site::build)
        .as_ref()
        .map_err(|failure| Failure::new(format!("the site: {failure}")))
}

impl Site {
    fn build() -> Outcome<Self> {
        let world = World::with_pods(&["pod1", "pod2"])?;
        let neighbour = Neighbour::beside(&world, &["pod3"])?;
        let host = world.host_pod("host")?;
        for namespace in [&*world.node, &neighbour.node] {
            namespace.unlimited_icmp()?;
        }
        let endpoint = |at, family: Family| match at {
            At::Pod1 => family.of(&world.pods[0]),
            At::Pod2 => family.of(&world.pods[1]),
            At::Far => family.of(&neighbour.pods[0]),
            At::Host => family.of(&host),
        };
        let rendered = render(&world, objects::all(endpoint))?;
        rendered.load(&world)?;
        neighbour.hold(rendered.addresses())?;
        let listening = || "listening at every address of the node";
        let everywhere = (IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED), HOST_PORT);
        let tcp = world.node.run(|| TcpListener::bind(everywhere));
        let udp = world.node.run(|| UdpSocket::bind(everywhere));
        Ok(Self {
            _host_tcp: tcp.context(listening)?,
            _host_udp: udp.context(listening)?,
            world,
            neighbour,
            host,
            rendered,
        })
    }

    /// Returns the namespace of the pod of this name.
    pub(crate) fn pod(&self, name: &str) -> Outcome<&Namespace> {
        let pods = self.world.pods.iter().chain(&self.neighbour.pods);
        pods.chain([&self.host])
            .find(|pod| pod.name == name)
            .map(|pod| &*pod.namespace)
            .ok_or_else(|| Failure::new(format!("no pod {name}")))
    }

    /// Returns the lines of a section of the rendered tables.
    pub(crate) fn section(&self, heading: &str) -> String {
        self.rendered.section(heading)
    }

    /// Runs a tool on the node. Dropping the result runs the tool that reverses it.
    pub(crate) fn meanwhile(&self, now: &str, then: &str) -> Outcome<Undo<'_>> {
        self.world.tool(now)?;
        Ok(Undo {
            site: self,
            line: then.to_owned(),
        })
    }
}

/// A change of a case, reversed when this is dropped.
pub(crate) struct Undo<'a> {
    site: &'a Site,
    line: String,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Err(failure) = self.site.world.tool(&self.line) {
            // The following cases may fail for this reason.
            eprintln!("cannot restore the site, so that following cases may fail: {failure}");
        }
    }
}

fn render(world: &World, objects: Vec<serde_json::Value>) -> Outcome<Rendered> {
    let objects = world.write_objects("objects.json", objects)?;
    let state = world.write("node.yaml", NODE_STATE)?;
    let config = world.write("config.yaml", CONFIG)?;
    Rendered::of(world, &objects, &state, &config)
}
