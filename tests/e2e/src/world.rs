//! A node with pods, and an external client.
//!
//! ```text
//!  client 192.168.50.10-17            pods 10.244.0.10…
//!         fd00:50::10-17                   fd00:10:244::10…
//!      │                                   │
//!      └── 192.168.50.1 ── node ── 10.244.0.1 (bridge cni0)
//!          fd00:50::1              fd00:10:244::1
//! ```
//!
//! All routes lead through the node, so that answers of pods return through it. IPVS needs no
//! masquerading here, and pods see the address of the client.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::container::{Container, image};
use crate::failure::{Context as _, Outcome, ensure};
use crate::namespace::Namespace;
use crate::objects;
use crate::pod::Pod;
use crate::probe::Probe;
use crate::process::{Process, Ran, run, run_with_input};
use crate::programs::program;
use crate::socket::Protocol;
use crate::tables::Tables;
use crate::wait::eventually;

/// Name of the node in Kubernetes.
pub(crate) const NODE: &str = "node1";
/// Number of addresses of the client in each family.
const CLIENT_ADDRESSES: u16 = 8;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Arguments of a program, texts and paths.
pub type Arguments<'a> = &'a [&'a dyn AsRef<OsStr>];

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The network that the module describes.
#[derive(Debug)]
pub struct World {
    /// The node.
    pub node: Arc<Namespace>,
    /// The external client.
    pub client: Namespace,
    /// The pods, named `pod1`, `pod2` …
    pub pods: Vec<Pod>,
    /// Name of the node in Kubernetes.
    name: &'static str,
    folder: PathBuf,
}

impl World {
    /// Builds a world with `pods` pods.
    ///
    /// # Errors
    /// If this is not root, or the kernel lacks something.
    pub fn build(pods: usize) -> Outcome<Self> {
        let names: Vec<String> = (1..=pods).map(|number| format!("pod{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Self::with_pods(&names)
    }

    /// Builds a world with pods of these names.
    ///
    /// # Errors
    /// As [`World::build`].
    pub fn with_pods(names: &[&str]) -> Outcome<Self> {
        let node = Namespace::create()?;
        routes(&node, 0)?;
        let client = client(&node)?;
        let pods = (10..)
            .zip(names)
            .map(|(number, name)| pod(&node, 0, number, name))
            .collect::<Outcome<_>>()?;
        let mut world = Self::around(NODE, node, client)?;
        world.pods = pods;
        Ok(world)
    }

    /// Returns a world without pods, for a node and a client that are already linked.
    ///
    /// # Errors
    /// If its directory cannot be created.
    pub(crate) fn around(name: &'static str, node: Namespace, client: Namespace) -> Outcome<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("e2e-{}-world-{number}", std::process::id()));
        fs::create_dir_all(&folder).context(|| format!("creating {}", folder.display()))?;
        Ok(Self {
            node: Arc::new(node),
            client,
            pods: Vec::new(),
            name,
            folder,
        })
    }

    /// Starts a pod in the network of the node, at the node's addresses in the network of the
    /// client.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn host_pod(&self, name: &str) -> Outcome<Pod> {
        let v6 = Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, 0, 1);
        Pod::start(&self.node, name, Ipv4Addr::new(192, 168, 50, 1), v6)
    }

    /// Returns a path in the directory of the world.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file into the directory of the world, atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new~")));
        let action = || format!("writing {}", path.display());
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).context(action)?;
        }
        fs::write(&new, text).context(action)?;
        fs::rename(&new, &path).context(action)?;
        Ok(path)
    }

    /// Writes objects as one file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_objects(&self, name: &str, objects: Vec<Value>) -> Outcome<PathBuf> {
        self.write(name, &objects::list(objects).to_string())
    }

    /// Writes a configuration with lines of its section `ipvs`, such as `scheduler: rr`. It does
    /// not set the limit of tracked connections, which can be set only in the first network
    /// namespace.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn config(&self, ipvs: &[&str]) -> Outcome<PathBuf> {
        let lines: String = ipvs.iter().map(|line| format!("\n  {line}")).collect();
        let text = format!(
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n\
             conntrack: {{maxPerCore: 0}}\nipvs:{lines}\n"
        );
        self.write("config.yaml", &text)
    }

    /// Returns the addresses of all pods in one family.
    #[must_use]
    pub fn endpoints(&self, family: Family) -> Vec<IpAddr> {
        self.pods.iter().map(|pod| family.of(pod)).collect()
    }

    /// Returns a Service of all protocols and families on all pods, with its slices. `number`
    /// determines its addresses.
    #[must_use]
    pub fn web(&self, name: &str, number: u8) -> Vec<Value> {
        let addresses = [Family::V4, Family::V6].map(|family| family.virtual_address(number));
        vec![
            objects::service(name, &addresses, &Protocol::ALL),
            objects::slice(name, &self.endpoints(Family::V4), &Protocol::ALL),
            objects::slice(name, &self.endpoints(Family::V6), &Protocol::ALL),
        ]
    }

    /// Starts `kube-ipvsd` with these arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn daemon(&self, arguments: Arguments<'_>) -> Outcome<Process> {
        match self.container(arguments)? {
            Some(container) => Process::start_container("kube-ipvsd", container),
            None => Process::start("kube-ipvsd", self.daemon_with(arguments)),
        }
    }

    /// Runs `kube-ipvsd` to its end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run_daemon(&self, arguments: Arguments<'_>) -> Outcome<Ran> {
        match self.container(arguments)? {
            Some(container) => run(container.command),
            None => run(self.daemon_with(arguments)),
        }
    }

    /// Returns a command that runs `kube-ipvsd` on the node, without its image.
    #[must_use]
    pub fn daemon_command(&self) -> Command {
        let mut command = self.node.command(program("kube-ipvsd"));
        command.args(["--node-name", self.name]);
        command
    }

    fn daemon_with(&self, arguments: Arguments<'_>) -> Command {
        let mut command = self.daemon_command();
        command.args(arguments.iter().map(AsRef::as_ref));
        command
    }

    /// Returns the daemon in its image, if the image is to be tested.
    fn container(&self, arguments: Arguments<'_>) -> Outcome<Option<Container>> {
        let Some(bundle) = image() else {
            return Ok(None);
        };
        let mut all: Vec<OsString> = vec!["--node-name".into(), self.name.into()];
        all.extend(arguments.iter().map(|word| AsRef::as_ref(word).to_owned()));
        Container::new(&bundle, &self.node, &self.folder, &all).map(Some)
    }

    /// Runs `ipvsctl` on the node.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn ipvsctl(&self, arguments: Arguments<'_>) -> Outcome<Ran> {
        let mut command = self.node.command(program("ipvsctl"));
        command.args(arguments.iter().map(AsRef::as_ref));
        run(command)
    }

    /// Runs a tool on the node, which must succeed.
    ///
    /// # Errors
    /// If the tool fails.
    pub fn tool(&self, line: &str) -> Outcome<String> {
        self.tool_with_input(line, "")
    }

    /// Runs a tool on the node with `input` as its standard input.
    ///
    /// # Errors
    /// If it does not succeed.
    pub fn tool_with_input(&self, line: &str, input: &str) -> Outcome<String> {
        let mut words = line.split_ascii_whitespace();
        let mut command = self.node.command(words.next().unwrap_or_default());
        command.args(words);
        let ran = run_with_input(command, input)?;
        Ok(ran.exits(0).context(|| line.to_owned())?.out)
    }

    /// Returns the kernel's tables.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn tables(&self) -> Outcome<Tables> {
        Tables::read(&self.node)
    }

    /// Waits until the node accepts packets to the addresses of `kube-ipvs0`.
    ///
    /// # Errors
    /// If it does not.
    pub fn accepts_its_addresses(&self) -> Outcome {
        eventually(|| self.tables()?.are_local(&self.node))
    }

    /// Returns the desired tables for the objects in a file, as `ipvsctl render` prints them.
    ///
    /// # Errors
    /// If it cannot be rendered.
    pub fn rendered(&self, objects: &Path, config: &Path) -> Outcome<Tables> {
        let ran = self.ipvsctl(&[
            &"render",
            &"-f",
            &objects,
            &"--config",
            &config,
            &"--node",
            &self.name,
            &"--section",
            &"ipvs",
            &"--section",
            &"addresses",
        ])?;
        Ok(Tables::parse(&ran.exits(0)?.out))
    }

    /// Waits until the node has the desired IPv4 virtual servers, then sends requests to Service 1
    /// over every protocol. Virtual servers of IPv6 may be missing.
    ///
    /// # Errors
    /// If the virtual servers are not there in time, or a pod does not answer.
    pub fn serves_ipv4(&self, objects: &Path, config: &Path) -> Outcome {
        let of_ipv4 = |tables: Tables| -> BTreeSet<String> {
            let lines = tables.ipvs.into_iter();
            lines.filter(|line| !line.contains('[')).collect()
        };
        let expected = of_ipv4(self.rendered(objects, config)?);
        eventually(|| {
            let live = of_ipv4(self.tables()?);
            ensure(live == expected, || format!("{live:?}"))
        })?;
        for protocol in Protocol::ALL {
            let probe = Probe::new(&self.client, protocol, Family::V4.virtual_server(1));
            let pods = probe.ask(6).complete()?.by_pod().len();
            ensure(pods == self.pods.len(), || {
                format!("{pods} pods answer over {protocol}")
            })?;
        }
        Ok(())
    }

    /// Fails unless the doctor reports that the node cannot serve IPv6.
    ///
    /// # Errors
    /// If it does not.
    pub fn doctor_misses_ipv6(&self, config: &Path) -> Outcome {
        let doctor = self.ipvsctl(&[&"doctor", &"--config", &config, &"--node", &self.name])?;
        let warning = "warning  families: this node cannot serve IPv6";
        ensure(doctor.out.contains(warning), || doctor.out.clone())
    }

    /// Runs the cleanup, and fails if virtual servers or addresses are left.
    ///
    /// # Errors
    /// If some are left, or the cleanup fails.
    pub fn cleans_up(&self, config: &Path) -> Outcome {
        let cleaned = self.run_daemon(&[&"--cleanup", &"--config", &config])?;
        cleaned.exits(0)?;
        let left = self.tables()?;
        ensure(left.ipvs.is_empty() && left.addresses.is_empty(), || {
            format!("{left:?}")
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A leftover temporary directory does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Family {
    /// Returns the virtual address with this number.
    #[must_use]
    pub fn virtual_address(self, number: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 96, 1, number).into(),
            Self::V6 => {
                Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0x100 + u16::from(number)).into()
            }
        }
    }

    /// Returns port 80 of the virtual address with this number.
    #[must_use]
    pub fn virtual_server(self, number: u8) -> SocketAddr {
        SocketAddr::new(self.virtual_address(number), 80)
    }

    /// Returns the address of the pod in this family.
    #[must_use]
    pub fn of(self, pod: &Pod) -> IpAddr {
        match self {
            Self::V4 => pod.v4.into(),
            Self::V6 => pod.v6.into(),
        }
    }

    /// Returns the address of the node on the bridge of its pods.
    #[must_use]
    pub fn bridge_address(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 244, 0, 1).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 1).into(),
        }
    }

    /// Returns the addresses of the client.
    #[must_use]
    pub fn client_addresses(self) -> Vec<IpAddr> {
        (0x10..0x10 + CLIENT_ADDRESSES)
            .map(|number| match self {
                Self::V4 => Ipv4Addr::new(192, 168, 50, (number - 6) as u8).into(),
                Self::V6 => Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, 0, number).into(),
            })
            .collect()
    }

    /// Returns the name in EndpointSlices.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Makes the node a router with the bridge of its pods.
pub(crate) fn routes(node: &Namespace, subnet: u8) -> Outcome {
    node.sysctl("ipv4/ip_forward", "1")?;
    node.sysctl("ipv6/conf/all/forwarding", "1")?;
    node.ip(&[
        "link add cni0 type bridge",
        &format!("address add 10.244.{subnet}.1/24 dev cni0"),
        &format!("address add fd00:10:244:{subnet}::1/64 dev cni0 nodad"),
        "link set cni0 up",
    ])
}

fn client(node: &Namespace) -> Outcome<Namespace> {
    let client = Namespace::create()?;
    node.ip(&[
        &format!(
            "link add outside type veth peer name eth0 netns {}",
            client.path()
        ),
        "address add 192.168.50.1/24 dev outside",
        "address add fd00:50::1/64 dev outside nodad",
        "link set outside up",
    ])?;
    let mut lines = Vec::new();
    for (family, length) in [(Family::V4, 24), (Family::V6, 64)] {
        for address in family.client_addresses() {
            let nodad = if address.is_ipv6() { " nodad" } else { "" };
            lines.push(format!("address add {address}/{length} dev eth0{nodad}"));
        }
    }
    lines.push("link set eth0 up".to_owned());
    lines.push("route add default via 192.168.50.1".to_owned());
    lines.push("route add ::/0 via fd00:50::1".to_owned());
    client.ip(&lines)?;
    Ok(client)
}

/// Creates a pod on a node with the pod networks 10.244.SUBNET.0/24 and fd00:10:244:SUBNET::/64, at
/// the bridge `cni0`. Its bridge port is in hairpin mode, as CNI plug-ins configure it for pods
/// that connect to themselves through a Service.
pub(crate) fn pod(node: &Namespace, subnet: u8, number: u8, name: &str) -> Outcome<Pod> {
    let namespace = Arc::new(Namespace::create()?);
    let v4 = Ipv4Addr::new(10, 244, subnet, number);
    let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, subnet.into(), 0, 0, 0, number.into());
    node.ip(&[
        format!(
            "link add veth{number} type veth peer name eth0 netns {}",
            namespace.path()
        ),
        format!("link set veth{number} master cni0 up"),
        format!("link set veth{number} type bridge_slave hairpin on"),
    ])?;
    namespace.ip(&[
        format!("address add {v4}/24 dev eth0"),
        format!("address add {v6}/64 dev eth0 nodad"),
        "link set eth0 up".to_owned(),
        format!("route add default via 10.244.{subnet}.1"),
        format!("route add ::/0 via fd00:10:244:{subnet}::1"),
    ])?;
    Pod::start(&namespace, name, v4, v6)
}
