use std::net::{IpAddr, Ipv4Addr};

use model::kernel::{OpError, OpErrorKind};
use model::{DEVICE, Op};

use super::{Batch, Change};
use crate::linux::addresses::AddressChange;

fn address(last: u8) -> Op {
    Op::AddAddress(IpAddr::V4(Ipv4Addr::new(10, 96, 0, last)))
}

/// Checks the size of the first batch of addresses of `ops`.
fn check(ops: &[Op], limit: usize, gathered: usize) {
    let mut changes = ops.iter().map(|op| (op, Change::of(op))).peekable();
    let Some((op, Change::Address(first))) = changes.next() else {
        panic!("the first op must change an address of {DEVICE}");
    };
    let batch = Batch::gather(op, first, &mut changes, limit, |change| match change {
        Change::Address(request) => Ok(request),
        other => Err(other),
    });
    assert_eq!(batch.requests().len(), gathered);
    for (request, op) in batch.requests().iter().zip(ops) {
        let AddressChange::Add(request) = request else {
            panic!("{request:?}");
        };
        assert_eq!(op, &Op::AddAddress(*request));
    }
    // The remaining ops are still available, in order.
    let left: Vec<&Op> = changes.map(|(op, _)| op).collect();
    assert_eq!(left, ops[gathered..].iter().collect::<Vec<_>>());
}

#[test]
fn a_batch_ends_at_the_first_op_of_another_table() {
    let other = Op::EnsureDevice;
    check(&[address(1)], 10, 1);
    check(&[address(1), address(2)], 10, 2);
    check(&[address(1), other.clone(), address(2)], 10, 1);
    check(&[address(1), address(2), other], 10, 2);
}

#[test]
fn a_batch_is_limited() {
    check(&[address(1), address(2), address(3)], 2, 2);
}

#[test]
fn outcomes_are_matched_with_their_ops() {
    let ops = [address(1), address(2), address(3)];
    let mut changes = ops.iter().map(|op| (op, Change::of(op))).peekable();
    let Some((op, Change::Address(first))) = changes.next() else {
        panic!("the op must change an address");
    };
    let batch = Batch::gather(op, first, &mut changes, 10, |change| match change {
        Change::Address(request) => Ok(request),
        other => Err(other),
    });
    let answers = [Ok(()), Err(OpErrorKind::AlreadyExists), Ok(())];
    let outcomes = batch.outcomes(answers, |op, kind| OpError::new(op.clone(), kind, None));
    let failed: Vec<Option<&Op>> = (outcomes.iter())
        .map(|outcome| outcome.as_ref().err().map(OpError::op))
        .collect();
    assert_eq!(failed, [None, Some(&ops[1]), None]);
}
