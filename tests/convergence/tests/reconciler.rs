//! Laws of the loop: once all faults have ended, the node is in the desired state.

use std::time::Duration;

use convergence::cluster::{change, config, lists, objects, written};
use convergence::faults::{by_hand, faults, meddle, tear};
use convergence::node::{Node, Violation};
use kernel::MemoryKernel;
use model::{ClusterState, Object};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use reconciler::Report;

fn start(objects: Vec<Object>) -> Result<Node, Violation> {
    let mut node = Node::new(config(), MemoryKernel::new());
    node.feed(lists(objects))?;
    Ok(node)
}

/// Checks that the node's tables are the desired ones, an audit finds no difference, and nothing
/// more is written.
fn check_converged(node: &mut Node) -> Result<(), TestCaseError> {
    node.kernel.clear_faults();
    node.pass(Duration::from_secs(120))?;
    node.settle()?;
    let desired = node.reconciler.desired().clone();
    prop_assert_eq!(&node.tables(), &desired.tables);
    let writes = node.kernel.counts().ops;
    node.reports.clear();
    node.pass(Duration::from_secs(120))?;
    prop_assert_eq!(
        node.kernel.counts().ops,
        writes,
        "the loop keeps writing: {:#?}",
        node.reports
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn changes_lead_to_what_the_cluster_asks(
        first in objects(),
        changes in vec(change(), 0..8),
    ) {
        let mut node = start(first.clone())?;
        let mut state = ClusterState::default();
        for event in lists(first) {
            state.absorb(event);
        }
        for change in changes {
            for event in &change {
                state.absorb(event.clone());
            }
            node.feed(change)?;
            node.settle()?;
            if state.node("node1").is_some() {
                let desired = written(&state);
                prop_assert_eq!(&node.tables(), &desired.tables);
            }
        }
        check_converged(&mut node)?;
    }

    #[test]
    fn any_finite_faults_are_overcome(
        first in objects(),
        changes in vec(change(), 0..6),
        faults in faults(),
        tears in vec(any::<Index>(), 0..3),
        unreadable in 0_u32..4,
    ) {
        let mut node = Node::new(config(), MemoryKernel::new());
        for (skip, fault) in faults {
            node.kernel.inject(skip, fault);
        }
        node.kernel.fail_observations(unreadable);
        node.feed(lists(first))?;
        node.settle()?;
        for change in changes {
            for index in &tears {
                node.kernel.tear(tear(&node.kernel.tables(), *index));
            }
            node.feed(change)?;
            node.settle()?;
        }
        check_converged(&mut node)?;
    }

    #[test]
    fn drift_is_repaired_by_the_audit_and_reported(
        objects in objects(),
        meddling in vec(by_hand(), 1..5),
    ) {
        let mut node = start(objects)?;
        node.settle()?;
        let mut drifted = false;
        for change in meddling {
            if let Some(op) = meddle(&node.kernel.tables(), change) {
                drifted |= node.meddle(&op).is_ok();
            }
        }
        let moved = node.tables() != node.reconciler.desired().tables;
        node.reports.clear();
        node.pass(Duration::from_secs(31))?;
        node.settle()?;
        prop_assert_eq!(&node.tables(), &node.reconciler.desired().tables);
        let told = node.reports.iter().any(|report| matches!(report, Report::Drift(_)));
        prop_assert!(drifted || !moved);
        prop_assert_eq!(told, moved);
    }

    #[test]
    fn a_restart_writes_nothing(objects in objects()) {
        let mut node = start(objects.clone())?;
        node.settle()?;
        let mut again = Node::new(config(), node.kernel.clone());
        let writes = again.kernel.counts().ops;
        again.feed(lists(objects))?;
        again.settle()?;
        prop_assert_eq!(again.kernel.counts().ops, writes);
    }

    #[test]
    fn nothing_is_deleted_before_every_list_is_in(
        before in objects(),
        after in objects(),
        missing in 1_usize..3,
    ) {
        let mut first = start(before)?;
        first.settle()?;
        let tables = first.kernel.tables();
        let mut events = lists(after);
        events.truncate(events.len() - missing);
        let mut node = Node::new(config(), first.kernel.clone());
        node.feed(events)?;
        node.pass(Duration::from_secs(300))?;
        prop_assert_eq!(node.kernel.tables(), tables);
    }
}
