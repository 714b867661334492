use std::net::{IpAddr, Ipv4Addr};

use model::{NodeTables, Op, Scope, Stage};

use super::{ReadOnly, Saved};
use crate::contract::builders::stage;
use crate::memory::{Counts, MemoryKernel};
use model::kernel::Kernel;
use model::kernel::OpErrorKind;

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));

fn two_changes() -> Stage {
    stage([Op::EnsureDevice, Op::AddAddress(VIP)])
}

fn check_refuses(kernel: &mut dyn Kernel) {
    let stage = two_changes();
    let outcomes = kernel.apply(&stage);
    assert_eq!(outcomes.len(), 2);
    for (planned, outcome) in stage.ops.iter().zip(outcomes) {
        let error = outcome.expect_err("every change is refused");
        assert_eq!(*error.kind(), OpErrorKind::ReadOnly);
        assert_eq!(*error.op(), planned.op);
    }
}

#[test]
fn a_read_only_kernel_reads_and_never_changes() {
    let inside = MemoryKernel::new();
    let mut kernel = ReadOnly::new(inside.clone());
    check_refuses(&mut kernel);
    let snapshot = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    assert_eq!(snapshot, inside.snapshot());
    let counts = Counts {
        observations: 1,
        ..Counts::default()
    };
    assert_eq!(inside.counts(), counts);
}

#[test]
fn a_read_only_kernel_may_be_boxed() {
    let inside: Box<dyn Kernel + Send> = Box::new(MemoryKernel::new());
    let mut kernel: Box<dyn Kernel + Send> = Box::new(ReadOnly::new(inside));
    check_refuses(&mut kernel);
    assert!(kernel.observe(&Scope::EVERYTHING).is_ok());
}

#[test]
fn a_saved_kernel_answers_the_requested_scope() {
    let tables = NodeTables {
        addresses: [VIP].into(),
        ..NodeTables::default()
    };
    let mut kernel = Saved::from(tables.clone());
    check_refuses(&mut kernel);
    let all = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    assert_eq!(all.tables, tables);
    assert!(all.device);
    let part = kernel.observe(&Scope::NOTHING).expect("a reading");
    assert_eq!(part.tables, NodeTables::default());
    assert!(!part.device);
}
