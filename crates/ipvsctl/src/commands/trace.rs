//! `ipvsctl trace`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use ipvs::{AddressFamily, VirtualServerKey};
use kernel::linux::IptablesBackend;
use model::{ClusterState, Desired, NodeTables, Snapshot};
use sources::PodAddresses;
use trace::{End, trace as path_of};

use crate::cli::{Format, SenderArgument, Trace};
use crate::error::{Error, Status};
use crate::input::cluster::Cluster;
use crate::input::desired::Origin;
use crate::input::node::Node;
use crate::input::surroundings::{self, Machine, Packet, Scene, Sender, destination, health_port};
use crate::input::{Input, live, pods, running};
use crate::output::{self, show};
use crate::schema;
use crate::style;

/// Prints the path of a packet.
///
/// # Errors
///
/// The node, the cluster or the live tables cannot be read, the packet cannot be built, or the
/// output cannot be written.
pub fn run(args: &Trace) -> Result<Status, Error> {
    let View {
        input,
        snapshot,
        tables,
        health_port,
        backend,
    } = read(args)?;
    let to = destination(&args.to, known_source(args, &input)?, &input.cluster);
    let to = to.map_err(Error::Packet)?;
    let sender = sender(&args.from, &input, to.0.ip())?;
    let packet = Packet::new(sender, args.source_address, to).map_err(Error::Packet)?;
    let machine = match tables {
        "kernel" => {
            let addresses = packet.addresses(&snapshot.tables);
            Some(Machine::read(&addresses, backend)?)
        }
        _ => None,
    };
    let tables_of = &snapshot.tables;
    let scene = surroundings::scene(&packet, &input, tables_of, health_port, machine.as_ref());
    let document = document(&input, tables_of, tables, &scene);
    let status = match document.verdict.result {
        "answered" | "forwarded" => input.status(false),
        "failed" => input.status(true),
        _ => Status::Failed,
    };
    let all = args.output == Format::Wide;
    show(
        args.output,
        || &document,
        || output::trace::text(&document, all),
    )?;
    Ok(status)
}

/// Returns a source address of the packet, if it decides the family of the destination.
fn known_source(args: &Trace, input: &Input) -> Result<Option<IpAddr>, Error> {
    Ok(match &args.from {
        SenderArgument::Address(address) => Some(*address),
        SenderArgument::Pod(name) => {
            let all = pods::addresses(&input.pods, name).map_err(Error::Pod)?;
            let families: BTreeSet<AddressFamily> = all
                .iter()
                .map(|address| AddressFamily::of(*address))
                .collect();
            all.first().copied().filter(|_| families.len() == 1)
        }
        SenderArgument::Host | SenderArgument::Outside(_) => args.source_address,
    })
}

/// Returns the sender of a packet to `to`.
fn sender(given: &SenderArgument, input: &Input, to: IpAddr) -> Result<Sender, Error> {
    Ok(match given {
        SenderArgument::Host => Sender::Host,
        SenderArgument::Outside(interface) => Sender::Outside(interface.clone()),
        SenderArgument::Address(address) => Sender::Pod {
            address: *address,
            name: None,
        },
        SenderArgument::Pod(name) => Sender::Pod {
            address: pods::address(&input.pods, name, to).map_err(Error::Pod)?,
            name: Some(name.clone()),
        },
    })
}

fn document(
    input: &Input,
    tables_of: &NodeTables,
    tables: &'static str,
    scene: &Scene,
) -> schema::Trace {
    let path = path_of(tables_of, &scene.world, &scene.probe);
    let desired = &input.desired;
    let (owner, missing) = match &path.end {
        End::Balanced(balance) => (desired.owner(balance.server.key), None),
        End::Outcome(_) | End::Unjudged(_) => {
            let key = VirtualServerKey::Address {
                address: scene.probe.to.ip(),
                port: scene.probe.to.port(),
                protocol: scene.probe.protocol,
            };
            let is_missing = !tables_of.virtual_servers.contains_key(&key);
            (None, desired.owner(key).filter(|_| is_missing))
        }
    };
    let subject = schema::Subject {
        node_name: &input.config.node_name,
        tables,
        from: scene.sender.clone(),
        service: owner.map(ToString::to_string),
        missing: missing.map(ToString::to_string),
        endpoints: &scene.endpoints,
        assumptions: &scene.assumptions,
    };
    schema::Trace::new(&subject, &path)
}

/// The objects, and the tables to trace through.
struct View {
    input: Input,
    snapshot: Snapshot,
    /// Origin of the tables: `kernel`, `saved` or `desired`.
    tables: &'static str,
    health_port: Option<u16>,
    backend: IptablesBackend,
}

fn read(args: &Trace) -> Result<View, Error> {
    let stdin = Path::new("-");
    if args.live.as_deref() == Some(stdin) && args.source.paths.iter().any(|path| path == stdin) {
        return Err(Error::StandardInputTwice);
    }
    // Saved and desired tables may be those of another node.
    let origin = match args.desired || args.live.is_some() {
        true => Origin::of_arguments(&args.source, &args.node),
        false => Origin::find(&args.source, &args.node, Path::new(running::PROC)),
    };
    let origin = origin.with_pods_near(match &args.from {
        SenderArgument::Pod(name) => Some(name),
        _ => None,
    });
    let mut node = origin.node()?;
    let (health_port, backend) = (health_port(&node.config), node.backend());
    let cluster = objects(args, &origin, &mut node)?;
    let (input, snapshot, tables) = if args.desired {
        let input = Input::compile(cluster, node);
        let snapshot = of_desired(&input.desired);
        (input, snapshot, "desired")
    } else if let Some(path) = &args.live {
        let saved = live::saved(path)?;
        live::describe(&mut node, &saved);
        let input = Input::compile(cluster, node);
        let snapshot = live::comparable(saved, &input).live;
        (input, snapshot, "saved")
    } else {
        let snapshot = live::of_kernel(&mut live::read_only_kernel()?, &mut node)?;
        node.ask_endpoint_states(&cluster.state, None);
        (Input::compile(cluster, node), snapshot, "kernel")
    };
    Ok(View {
        input,
        snapshot,
        tables,
        health_port,
        backend,
    })
}

/// Reads the objects. Live and saved tables can be traced without them.
fn objects(args: &Trace, origin: &Origin<'_>, node: &mut Node) -> Result<Cluster, Error> {
    match origin.cluster(node) {
        Err(Error::NoCluster(_)) if !args.desired => {
            style::warning(
                "no objects: names of Services and the nodes of endpoints are not known; give -f \
                 PATH or --kubeconfig FILE",
            );
            Ok(Cluster {
                state: ClusterState::default(),
                whole: true,
                pods: PodAddresses::default(),
            })
        }
        other => other,
    }
}

fn of_desired(desired: &Desired) -> Snapshot {
    Snapshot {
        tables: desired.tables.clone(),
        ..Snapshot::default()
    }
}
