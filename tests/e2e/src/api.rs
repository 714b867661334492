//! The API server, a process on the node.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{self, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Context as _, Failure, Outcome, ensure};
use crate::http::request;
use crate::namespace::Namespace;
use crate::objects;
use crate::process::Process;
use crate::programs::program;
use crate::wait::within;
use crate::world::{Family, World};

/// Address of the API server. Its port is free, since each node has its own network namespace.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);

/// Port of an API server outside the node.
const PORT: u16 = 6443;

/// An API server that is reached from the namespace of the node.
#[derive(Debug)]
pub struct ApiServer {
    /// Kubeconfig for clients.
    pub kubeconfig: PathBuf,
    /// Address of the server.
    pub address: SocketAddr,
    node: Arc<Namespace>,
    process: Process,
}

/// Path of a kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Services of the namespace `default`.
    Services,
    /// EndpointSlices of the namespace `default`.
    EndpointSlices,
    /// Nodes.
    Nodes,
}

impl ApiServer {
    /// Starts the server with the objects of the files in `load`.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(world: &World, load: &[&path::Path]) -> Outcome<Self> {
        Self::start_at(world, load, 1)
    }

    /// Starts the server in place of an earlier one, with a `revision` later than all of that one.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_at(world: &World, load: &[&path::Path], revision: u32) -> Outcome<Self> {
        Self::start_in(world, &world.node, ADDRESS, load, revision)
    }

    /// Starts the server in the client's namespace, at the first address of the client.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_outside(world: &World, load: &[&path::Path]) -> Outcome<Self> {
        let addresses = Family::V4.client_addresses();
        let first = addresses
            .first()
            .ok_or_else(|| Failure::new("the client has no addresses"))?;
        Self::start_in(world, &world.client, SocketAddr::new(*first, PORT), load, 1)
    }

    fn start_in(
        world: &World,
        place: &Namespace,
        address: SocketAddr,
        load: &[&path::Path],
        revision: u32,
    ) -> Outcome<Self> {
        let kubeconfig = world.path("kubeconfig");
        let mut command = place.command(program("kube-ipvs-test-apiserver"));
        command
            .arg("--listen")
            .arg(address.to_string())
            .args(["--first-revision", &revision.to_string()])
            .arg("--kubeconfig")
            .arg(&kubeconfig);
        if !load.is_empty() {
            command.arg("--load").args(load);
        }
        let mut server = Self {
            kubeconfig,
            address,
            node: Arc::clone(&world.node),
            process: Process::start("apiserver", command)?,
        };
        // The server prints its URL as the first line, after it has loaded all files.
        let ready = within(Duration::from_secs(20), || {
            let ready = server.process.log().starts_with("http");
            let ended = !ready && server.process.has_ended()?;
            ensure(ready || ended, || "the API server is not ready")?;
            Ok(ready)
        })?;
        ensure(ready, || "the API server has ended by itself")?;
        Ok(server)
    }

    /// Kills the server with SIGKILL. Its state is lost.
    ///
    /// # Errors
    /// If it is gone already.
    pub fn kill(mut self) -> Outcome {
        self.process.kill()
    }

    /// Creates an object.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn create(&self, object: &Value) -> Outcome {
        let path = Path::of(object)?.text();
        self.send("POST", path, Some(object)).map(drop)
    }

    /// Creates objects.
    ///
    /// # Errors
    /// At the first one that the server refuses.
    pub fn create_all(&self, objects: &[Value]) -> Outcome {
        objects.iter().try_for_each(|object| self.create(object))
    }

    /// Replaces an object.
    ///
    /// # Errors
    /// If the server does not know its kind.
    pub fn replace(&self, object: &Value) -> Outcome {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{}/{name}", Path::of(object)?.text());
        self.send("PUT", &path, Some(object)).map(drop)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// If the server has none.
    pub fn delete(&self, path: Path, name: &str) -> Outcome {
        self.send("DELETE", &format!("{}/{name}", path.text()), None)
            .map(drop)
    }

    /// Turns a fault of the server on or off.
    ///
    /// # Errors
    /// If there is no such fault.
    pub fn fault(&self, name: &str, settings: &Value) -> Outcome {
        self.send("POST", &format!("/faults/{name}"), Some(settings))
            .map(drop)
    }

    /// Returns all Services and EndpointSlices as a list object.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn objects(&self) -> Outcome<Value> {
        let mut all = Vec::new();
        for path in [Path::Services, Path::EndpointSlices] {
            let mut answer = self.send("GET", path.text(), None)?;
            let kind = answer["kind"].as_str().unwrap_or_default();
            let kind = kind.trim_end_matches("List").to_owned();
            let version = answer["apiVersion"].take();
            let Value::Array(items) = answer["items"].take() else {
                return Err(Failure::new(format!("GET {}: no list", path.text())));
            };
            // Items of a list have no kind and apiVersion.
            all.extend(items.into_iter().map(|mut item| {
                item["kind"] = json!(kind);
                item["apiVersion"] = version.clone();
                item
            }));
        }
        Ok(objects::list(all))
    }

    /// Returns the Events of the namespace `default`, which includes those about Nodes.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn events(&self) -> Outcome<Vec<Value>> {
        let path = "/apis/events.k8s.io/v1/namespaces/default/events";
        let mut answer = self.send("GET", path, None)?;
        match answer["items"].take() {
            Value::Array(events) => Ok(events),
            _ => Err(Failure::new(format!("GET {path}: no list"))),
        }
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let content_type = "application/json";
        let answer = self
            .node
            .run(|| request(self.address, method, path, content_type, body));
        let (status, answer) = answer.context(|| "the API server")?;
        if (200..300).contains(&status) {
            Ok(answer)
        } else {
            Err(Failure::new(format!("{method} {path}: {status} {answer}")))
        }
    }
}

impl Path {
    fn of(object: &Value) -> Outcome<Self> {
        match object["kind"].as_str() {
            Some("Service") => Ok(Self::Services),
            Some("EndpointSlice") => Ok(Self::EndpointSlices),
            Some("Node") => Ok(Self::Nodes),
            kind => Err(Failure::new(format!("no path for the kind {kind:?}"))),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Services => "/api/v1/namespaces/default/services",
            Self::EndpointSlices => "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            Self::Nodes => "/api/v1/nodes",
        }
    }
}
