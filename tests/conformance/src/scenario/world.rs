//! State of a scenario: a cluster, a node, its kernel and the process that manages it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ipvs::{Connections, VirtualServerKey};
use model::{
    ClusterEvent, ClusterState, Desired, Finding, NodeConfig, NodeState, NodeTables, Object,
    ObjectKind, ObjectName, Op, Plan, Snapshot, text,
};
use planner::{Ownership, compile, diff};
use sources::NodeOverrides;

use super::step::Busy;

const NODES: &str = include_str!("../../scenarios/world.yaml");
const NODE: &str = include_str!("../../scenarios/node.yaml");
const CONFIG: &str = include_str!("../../scenarios/config.yaml");
const NODE_NAME: &str = "node1";

/// A mistake in a file: its line, from 1, if it is known, and the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: Option<u64>,
    pub(super) what: String,
}

impl From<String> for Mistake {
    fn from(what: String) -> Self {
        Self { line: None, what }
    }
}

/// A cluster, a node, its kernel and our process.
#[derive(Clone, Debug)]
pub(super) struct World {
    cluster: ClusterState,
    config: NodeConfig,
    kernel: Snapshot,
    busy: Busy,
    /// Virtual servers that the process remembers as its own.
    wrote: BTreeSet<VirtualServerKey>,
    /// The compiled result, until the cluster, the node or the configuration changes.
    compiled: OnceCell<Rc<(Desired, Vec<Finding>)>>,
}

impl World {
    /// Returns the initial state of every scenario.
    pub(super) fn new() -> Result<Self, Mistake> {
        let mut world = Self {
            cluster: ClusterState::default(),
            config: NodeConfig::new(NODE_NAME),
            kernel: Snapshot::default(),
            busy: Busy::Only(Vec::new()),
            wrote: BTreeSet::new(),
            compiled: OnceCell::new(),
        };
        for kind in ObjectKind::ALL {
            world.cluster.absorb(ClusterEvent::ListStarted(kind));
            world.cluster.absorb(ClusterEvent::ListDone(kind));
        }
        world.apply(objects(NODES)?);
        world.set_config(CONFIG)?;
        world.set_node(NODE)?;
        Ok(world)
    }

    pub(super) fn apply(&mut self, objects: Vec<Object>) {
        self.compiled.take();
        for object in objects {
            self.cluster.absorb(ClusterEvent::Upsert(object));
        }
    }

    /// Returns true if `object` is a Service with a cluster IP that an interface of the node has,
    /// except loopback addresses.
    pub(super) fn has_cluster_ip_of(&self, object: &Object) -> bool {
        let Object::Service(service) = object else {
            return false;
        };
        let mut of_service =
            (service.cluster_ips.iter()).filter_map(|address| address.as_result().ok());
        of_service.any(|address| {
            let mut own = self.kernel.node.addresses();
            !address.is_loopback() && own.any(|at| at == *address)
        })
    }

    pub(super) fn delete(&mut self, kind: ObjectKind, name: ObjectName) {
        self.compiled.take();
        self.cluster.absorb(ClusterEvent::Delete(kind, name));
    }

    pub(super) fn has(&self, kind: ObjectKind, name: &ObjectName) -> bool {
        match kind {
            ObjectKind::Service => self.cluster.service(name).is_some(),
            ObjectKind::Node => self.cluster.node(&name.name).is_some(),
            ObjectKind::EndpointSlice => self.cluster.slice(name).is_some(),
            ObjectKind::VirtualServer => self.cluster.virtual_server(name).is_some(),
        }
    }

    pub(super) fn set_config(&mut self, text: &str) -> Result<(), Mistake> {
        let resolved = sources::config::parse("config", text)
            .and_then(|file| file.resolve(&NodeOverrides::default(), &self.config.node_name))
            .map_err(|errors| errors.to_string())?;
        self.compiled.take();
        self.config = resolved.node;
        Ok(())
    }

    pub(super) fn set_node(&mut self, text: &str) -> Result<(), Mistake> {
        let file = on_disk(text, |path| {
            sources::node_state::read(path).map_err(|error| error.to_string())
        })??;
        if let Some(name) = file.node_name {
            self.config.node_name = name;
        }
        self.compiled.take();
        self.kernel.node = file.state;
        Ok(())
    }

    /// Sets the kernel's virtual servers and addresses; also its sets, rules and settings, if
    /// `tables` has any.
    pub(super) fn set_kernel(&mut self, tables: NodeTables) {
        let before = std::mem::replace(&mut self.kernel.tables, tables);
        let now = &mut self.kernel.tables;
        self.kernel.device = !now.addresses.is_empty();
        if now.sets.is_empty() {
            now.sets = before.sets;
        }
        if now.rules.is_empty() {
            now.rules = before.rules;
        }
        if now.sysctls.is_empty() {
            now.sysctls = before.sysctls;
        }
    }

    pub(super) fn set_busy(&mut self, busy: Busy) {
        self.busy = busy;
    }

    /// Restarts the process.
    pub(super) fn restart(&mut self) {
        self.wrote.clear();
    }

    /// Returns the desired tables of the node, and the findings.
    pub(super) fn desired(&self) -> Rc<(Desired, Vec<Finding>)> {
        let compile = || Rc::new(compile(&self.cluster, &self.kernel.node, &self.config));
        Rc::clone(self.compiled.get_or_init(compile))
    }

    /// Returns the kernel's tables.
    pub(super) fn kernel(&self) -> &NodeTables {
        &self.kernel.tables
    }

    pub(super) fn node(&self) -> &NodeState {
        &self.kernel.node
    }

    /// Makes the plan and applies it.
    pub(super) fn sync(&mut self) -> Plan {
        let compiled = self.desired();
        let (desired, _) = &*compiled;
        self.kernel.connections = self.connections();
        let own = Ownership {
            recorded: self.wrote.clone(),
            ..Ownership::new(&self.config)
        };
        let plan = diff(desired, &self.kernel, &own);
        for planned in plan.ops() {
            if let Op::AddVirtualServer(server) = &planned.op {
                self.wrote.insert(server.key);
            }
            self.kernel.apply(&planned.op);
        }
        plan
    }

    fn connections(&self) -> BTreeMap<(VirtualServerKey, ipvs::RealServerKey), Connections> {
        let one = Connections {
            active: 1,
            ..Connections::default()
        };
        let mut connections = BTreeMap::new();
        for (key, entry) in &self.kernel.tables.virtual_servers {
            for real in entry.real_servers.keys() {
                let busy = match &self.busy {
                    Busy::All => true,
                    Busy::Only(some) => some.contains(real),
                };
                if busy {
                    connections.insert((*key, *real), one);
                }
            }
        }
        connections
    }
}

/// Parses the tables in `text`, and adds `others`.
pub(super) fn tables(text: &str, others: &NodeTables) -> Result<NodeTables, Mistake> {
    let mut tables = text::parse(text).map_err(|error| Mistake {
        line: u64::try_from(error.line).ok(),
        what: error.problem,
    })?;
    for (key, entry) in &others.virtual_servers {
        (tables.virtual_servers).insert(*key, Arc::clone(entry));
    }
    tables.addresses.extend(&others.addresses);
    // A text without sets does not change them.
    let others_sets = others.sets.iter().filter(|_| !tables.sets.is_empty());
    for (name, set) in others_sets.collect::<Vec<_>>() {
        let held = tables
            .sets
            .entry(name.clone())
            .or_insert_with(|| set.clone());
        held.entries.extend(&set.entries);
    }
    Ok(tables)
}

/// Parses the objects in `text`.
pub(super) fn objects(text: &str) -> Result<Vec<Object>, Mistake> {
    let found = on_disk(text, |path| sources::files::read(&[path.to_owned()]))?;
    if let Some(error) = found.errors.first() {
        return Err(Mistake {
            line: error.line,
            what: error.kind.to_string(),
        });
    }
    if let Some((kind, _)) = found.other_kinds.first_key_value() {
        return Err(format!("unexpected {kind}").into());
    }
    if found.objects.is_empty() {
        return Err("the file has no object, or its labels exclude it"
            .to_owned()
            .into());
    }
    Ok(found.objects)
}

/// Passes `text` to `reader` as a file, as users do.
fn on_disk<T>(text: &str, reader: impl FnOnce(&std::path::Path) -> T) -> Result<T, String> {
    use std::io::Write;
    let mut file = (tempfile::Builder::new().suffix(".yaml"))
        .tempfile()
        .map_err(|error| format!("no temporary file: {error}"))?;
    file.write_all(text.as_bytes())
        .map_err(|error| format!("writing a temporary file: {error}"))?;
    Ok(reader(file.path()))
}
