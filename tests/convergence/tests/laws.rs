//! Laws of diff and of the text form.

use std::collections::BTreeSet;

use convergence::cluster::{cluster, node_state, objects, written};
use convergence::faults::tables;
use ipvs::VirtualServerKey;
use kernel::{Kernel as _, MemoryKernel};
use model::plan::{DependencyGate, Op, Plan, PlannedOp, Reason, Stage};
use model::sets::served_by;
use model::tables::{Desired, NodeTables};
use model::{Object, ObjectKind, ObjectName, Snapshot, TableKeys, text};
use planner::{Ownership, diff, diff_keys};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn own() -> Ownership {
    Ownership::new(&model::NodeConfig::new("node1"))
}

fn desired(objects: Vec<Object>) -> Desired {
    written(&cluster(objects))
}

fn snapshot(tables: &NodeTables) -> Snapshot {
    Snapshot {
        tables: tables.clone(),
        device: true,
        ..Snapshot::default()
    }
}

/// Applies `plan`. Returns true if every op succeeded.
fn apply(kernel: &mut MemoryKernel, plan: &Plan) -> bool {
    (plan.stages.iter()).all(|stage| kernel.apply(stage).iter().all(Result::is_ok))
}

/// Returns the virtual servers of `tables` that can accept traffic.
fn serving(tables: &NodeTables) -> BTreeSet<VirtualServerKey> {
    (tables.virtual_servers.iter())
        .filter(|(_, entry)| entry.real_servers.values().any(|real| real.weight > 0))
        .map(|(key, _)| *key)
        .collect()
}

/// Addresses of an interface, of Services and of neither.
const PLACES: &[&str] = &[
    "192.0.2.1",
    "192.0.2.3",
    "203.0.113.1",
    "10.96.0.1",
    "10.96.0.2",
    "198.51.100.9",
];

/// Returns a Service at the node port 80/TCP.
fn node_port_80() -> Object {
    let mut service = fixtures::service(ObjectName::new("shop", "port"), [10, 96, 0, 9]);
    service.ports[0].node_port = Some(service.ports[0].port.clone());
    Object::Service(service)
}

/// Runs `plan` with failures: the op number n fails if `fails[n % length]`. Checks that no virtual
/// server is added while an entry that it needs is missing.
fn check_entries_come_first(
    kernel: &mut MemoryKernel,
    plan: Plan,
    desired: &Desired,
    fails: &[bool],
) -> Result<(), TestCaseError> {
    let mut gate = DependencyGate::default();
    let mut failures = fails.iter().cycle();
    for stage in plan.stages {
        let (admitted, _) = gate.admit(stage.ops);
        for planned in admitted {
            let fails = failures.next() == Some(&true);
            if let Op::AddVirtualServer(server) = &planned.op {
                check_entries(kernel, desired, server.key)?;
            }
            let stage = Stage {
                ops: vec![planned.clone()],
            };
            if !fails && kernel.apply(&stage).iter().all(Result::is_ok) {
                gate.done(&planned.op);
            } else {
                gate.not_done(&planned.op);
            }
        }
    }
    Ok(())
}

fn check_entries(
    kernel: &MemoryKernel,
    desired: &Desired,
    key: VirtualServerKey,
) -> Result<(), TestCaseError> {
    let live = kernel.tables();
    for (name, set) in &desired.tables.sets {
        for entry in set.entries.iter().filter(|entry| served_by(entry, key)) {
            let there = (live.sets.get(name)).is_some_and(|set| set.entries.contains(entry));
            prop_assert!(there, "{} comes before {} is in {}", key, entry, name);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn equal_tables_give_an_empty_plan(objects in objects()) {
        let desired = desired(objects);
        prop_assert_eq!(diff(&desired, &snapshot(&desired.tables), &own()), Plan::default());
    }

    #[test]
    fn a_plan_reaches_the_desired_tables_and_keeps_the_rest(
        objects in objects(),
        live in tables(),
    ) {
        let desired = desired(objects);
        let mut kernel = MemoryKernel::with_tables(&live);
        let before = kernel.snapshot();
        let plan = diff(&desired, &before, &own());
        prop_assert!(apply(&mut kernel, &plan), "an op failed: {plan:#?}");
        // Real servers that leave have weight 0 now, and no connections.
        let rest = diff(&desired, &kernel.snapshot(), &own());
        let drained = |planned: &PlannedOp| planned.reason == Reason::Drained;
        prop_assert!(rest.ops().all(drained), "the second plan has more than drains: {rest:#?}");
        prop_assert!(apply(&mut kernel, &rest), "an op failed: {rest:#?}");
        let after = kernel.tables();

        let foreign: BTreeSet<_> = (live.virtual_servers.keys())
            .filter(|key| !planner::is_marked(&before, **key))
            // A VirtualServer adopts the entry that it describes, whoever made it.
            .filter(|key| !planner::is_adopted(&desired, **key))
            .collect();
        for key in &foreign {
            prop_assert_eq!(after.virtual_servers.get(key), live.virtual_servers.get(key));
        }
        let left_out = |key: &VirtualServerKey| match key {
            VirtualServerKey::Address { address, .. } => foreign.iter().any(|foreign| {
                let binds = desired.tables.addresses.contains(address);
                let at_address = matches!(
                    foreign,
                    VirtualServerKey::Address { address: at, .. } if at == address
                );
                *foreign == key || (binds && at_address)
            }),
            VirtualServerKey::Fwmark { .. } => false,
        };
        for (key, entry) in &desired.tables.virtual_servers {
            if !left_out(key) {
                prop_assert_eq!(after.virtual_servers.get(key), Some(entry));
            }
        }
        for key in after.virtual_servers.keys() {
            // The virtual server of a port stays while the one of every port cannot be added.
            let stays = desired.merged_ports.contains_key(key) && left_out(key);
            prop_assert!(
                desired.tables.virtual_servers.contains_key(key) || foreign.contains(key) || stays,
                "{} is neither desired nor foreign", key
            );
        }
        let again = diff(&desired, &kernel.snapshot(), &own());
        prop_assert!(again.is_empty(), "a second plan is not empty: {again:#?}");
    }

    #[test]
    fn what_serves_before_and_after_serves_all_the_time(objects in objects(), live in tables()) {
        let desired = desired(objects);
        let mut kernel = MemoryKernel::with_tables(&live);
        let plan = diff(&desired, &kernel.snapshot(), &own());
        let before = serving(&live);
        let after = serving(&desired.tables);
        let through: BTreeSet<_> = before.intersection(&after).collect();
        for planned in plan.ops() {
            kernel.apply(&Stage { ops: vec![planned.clone()] });
            let now = serving(&kernel.tables());
            for key in &through {
                prop_assert!(now.contains(key), "{} is not served after {}", key, planned.op);
            }
        }
    }

    /// The kernel remembers deleted real servers, and searches them at each addition.
    #[test]
    fn entries_that_are_needed_again_are_not_deleted(objects in objects(), live in tables()) {
        let desired = desired(objects);
        let plan = diff(&desired, &snapshot(&live), &own());
        let mut gone = BTreeSet::new();
        let mut gone_real_servers = BTreeSet::new();
        for planned in plan.ops() {
            match planned.op {
                Op::DelVirtualServer(key) => {
                    gone.insert(key);
                }
                Op::DelRealServer(key, real) => {
                    gone_real_servers.insert((key, real));
                }
                _ => {}
            }
        }
        for planned in plan.ops() {
            let comes = match &planned.op {
                Op::AddVirtualServer(server) => gone.contains(&server.key),
                Op::AddRealServer(key, real) | Op::SetRealServer(key, real) => {
                    gone.contains(key) || gone_real_servers.contains(&(*key, real.key))
                }
                _ => false,
            };
            prop_assert!(!comes, "{} adds an entry that the plan deletes", planned.op);
        }
    }

    #[test]
    fn filter_state_is_there_before_a_virtual_server(objects in objects(), live in tables()) {
        let desired = desired(objects);
        let mut kernel = MemoryKernel::with_tables(&live);
        let plan = diff(&desired, &kernel.snapshot(), &own());
        for planned in plan.ops() {
            if let Op::AddVirtualServer(server) = &planned.op
                && let VirtualServerKey::Address { address, .. } = server.key
            {
                let bound = !desired.tables.addresses.contains(&address) || kernel.has_address(address);
                prop_assert!(bound, "{} has no address yet", server.key);
                let now = kernel.tables();
                prop_assert_eq!(&now.rules, &desired.tables.rules);
                for (name, set) in &desired.tables.sets {
                    let entries = (set.entries.iter()).filter(|entry| served_by(entry, server.key));
                    for entry in entries {
                        prop_assert!(now.sets[name].entries.contains(entry), "{} lacks {}", name, entry);
                    }
                }
            }
            kernel.apply(&Stage { ops: vec![planned.clone()] });
        }
    }

    /// A failure may leave a set without an entry. A later plan for only the virtual server adds
    /// the entry first.
    #[test]
    fn entries_that_failed_are_there_before_a_virtual_server(
        objects in objects(),
        node in node_state(),
        fails in vec(any::<bool>(), 1..40),
        fails_later in vec(any::<bool>(), 1..40),
    ) {
        let config = model::NodeConfig::new("node1");
        let (desired, _) = planner::compile(&cluster(objects), &node, &config);
        let mut kernel = MemoryKernel::new();
        kernel.set_node(node);
        let plan = diff(&desired, &kernel.snapshot(), &own());
        check_entries_come_first(&mut kernel, plan, &desired, &fails)?;
        let keys = TableKeys {
            virtual_servers: desired.tables.virtual_servers.keys().copied().collect(),
            ..TableKeys::default()
        };
        for fails in [&fails_later[..], &[false]] {
            let plan = diff_keys(&desired, &kernel.snapshot(), &own(), &keys);
            check_entries_come_first(&mut kernel, plan, &desired, fails)?;
        }
        prop_assert_eq!(kernel.tables().virtual_servers, desired.tables.virtual_servers);
    }

    /// A process that starts determines from the kernel which virtual servers are ours: those that
    /// a plan wrote are ours, earlier foreign ones are foreign.
    #[test]
    fn a_restart_does_not_change_whose_a_virtual_server_is(
        objects in objects(),
        node in node_state(),
        others in vec((select(PLACES), select(vec![53_u16, 80, 443]), any::<bool>()), 0..4),
    ) {
        let config = model::NodeConfig {
            node_port_addresses: model::config::NodePortAddresses::Within(Vec::new()),
            ..model::NodeConfig::new("node1")
        };
        let mut objects = [objects, vec![node_port_80()]].concat();
        // A VirtualServer adopts the entry that it describes, whoever made it.
        objects.retain(|object| object.kind() != ObjectKind::VirtualServer);
        let (desired, _) = planner::compile(&cluster(objects), &node, &config);
        let mut kernel = MemoryKernel::new();
        kernel.set_node(node);
        for (address, port, udp) in others {
            let protocol = if udp { 'u' } else { 't' };
            let line = format!("-A -{protocol} {address}:{port} -s rr");
            let tables = text::parse(&line).expect("it parses");
            for entry in tables.virtual_servers.values() {
                // A duplicate is refused.
                let _ = kernel.foreign(&Op::AddVirtualServer(entry.server.clone()));
            }
        }
        let before = kernel.snapshot();
        let foreign = before.tables.virtual_servers.clone();
        let plan = diff(&desired, &before, &own());
        prop_assert!(apply(&mut kernel, &plan));
        let after = kernel.snapshot();
        for (key, entry) in &foreign {
            prop_assert_eq!(after.tables.virtual_servers.get(key), Some(entry));
        }
        for key in after.tables.virtual_servers.keys() {
            let is_ours = planner::is_marked(&after, *key);
            prop_assert_eq!(is_ours, !foreign.contains_key(key), "{}", key);
        }
        // A node port is served at each address at which no foreign virtual server has its port.
        for key in desired.tables.virtual_servers.keys() {
            let is_node_port = matches!(
                key,
                VirtualServerKey::Address { address, .. } if !desired.tables.addresses.contains(address)
            );
            let is_served = after.tables.virtual_servers.contains_key(key);
            prop_assert!(is_served || !is_node_port, "{} is not served", key);
        }
        let again = diff(&desired, &after, &own());
        prop_assert!(again.is_empty(), "a second plan is not empty: {again:#?}");
        // Without the foreign virtual servers, no stand-in is left.
        for key in foreign.keys() {
            prop_assert!(kernel.foreign(&Op::DelVirtualServer(*key)).is_ok());
        }
        let rest = diff(&desired, &kernel.snapshot(), &own());
        prop_assert!(apply(&mut kernel, &rest));
        prop_assert_eq!(kernel.tables().sets, desired.tables.sets);
    }

    #[test]
    fn the_order_within_a_stage_does_not_matter(
        objects in objects(),
        live in tables(),
        seed in any::<u64>(),
    ) {
        let desired = desired(objects);
        let mut straight = MemoryKernel::with_tables(&live);
        let mut shuffled = MemoryKernel::with_tables(&live);
        let plan = diff(&desired, &straight.snapshot(), &own());
        prop_assert!(apply(&mut straight, &plan));
        let mut plan = plan;
        for stage in &mut plan.stages {
            let length = stage.ops.len();
            for index in 0..length {
                let other = usize::try_from(seed.rotate_left(u32::try_from(index % 64)?)).unwrap_or(0);
                stage.ops.swap(index, other % length);
            }
        }
        prop_assert!(apply(&mut shuffled, &plan));
        prop_assert_eq!(straight.tables(), shuffled.tables());
    }

    #[test]
    fn equal_input_gives_equal_plans(objects in objects(), live in tables()) {
        let plan = || diff(&desired(objects.clone()), &snapshot(&live), &own());
        prop_assert_eq!(format!("{:?}", plan()), format!("{:?}", plan()));
    }

    #[test]
    fn torn_or_incomplete_tables_cause_no_deletion(objects in objects(), live in tables()) {
        let desired = desired(objects);
        let torn = Snapshot { torn: true, ..snapshot(&live) };
        let incomplete = Ownership { deletions: false, ..own() };
        for plan in [
            diff(&desired, &torn, &own()),
            diff(&desired, &snapshot(&live), &incomplete),
        ] {
            prop_assert_eq!(plan.summary().delete, 0);
        }
    }

    #[test]
    fn text_parses_back(tables in tables()) {
        prop_assert_eq!(text::parse(&text::print(&tables)), Ok(tables));
    }
}
