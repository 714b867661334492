//! Cases about stages with many changes.

use model::{Op, Stage};

use super::ContractKernel;
use super::builders::{VIP4, VIP6, do_all, read, real, refused, server, stage, tcp};
use super::named;
use model::kernel::OpErrorKind;

named![
    an_empty_stage_does_nothing,
    a_change_that_fails_stops_no_other,
    outcomes_stand_in_the_order_of_the_changes,
    a_stage_is_done_in_the_order_in_which_it_stands,
    every_change_may_fail_and_each_has_its_outcome,
    an_error_names_the_change_its_key_and_the_cause,
];

fn an_empty_stage_does_nothing(kernel: &mut dyn ContractKernel) {
    assert!(kernel.apply(&Stage::default()).is_empty());
    assert!(read(kernel).tables.virtual_servers.is_empty());
}

fn a_change_that_fails_stops_no_other(kernel: &mut dyn ContractKernel) {
    let key = tcp(VIP4, 80);
    let missing = tcp(VIP4, 81);
    let stage = stage([
        Op::AddRealServer(missing, real(1, 1)),
        Op::AddVirtualServer(server(key, "rr")),
        Op::DelVirtualServer(missing),
        Op::DelAddress(VIP4),
        Op::EnsureDevice,
        Op::AddVirtualServer(server(key, "rr")),
        Op::AddAddress(VIP6),
        Op::AddRealServer(key, real(1, 1)),
    ]);
    let kinds: Vec<Option<OpErrorKind>> = kernel
        .apply(&stage)
        .into_iter()
        .map(|outcome| outcome.err().map(|error| error.kind().clone()))
        .collect();
    let wanted = [
        Some(OpErrorKind::NoSuchVirtualServer),
        None,
        Some(OpErrorKind::NoSuchVirtualServer),
        Some(OpErrorKind::NoDevice),
        None,
        Some(OpErrorKind::AlreadyExists),
        None,
        None,
    ];
    assert_eq!(kinds, wanted);
    let tables = read(kernel).tables;
    assert_eq!(tables.virtual_servers[&key].real_servers.len(), 1);
    assert_eq!(tables.addresses, [VIP6].into());
}

fn outcomes_stand_in_the_order_of_the_changes(kernel: &mut dyn ContractKernel) {
    const COUNT: u16 = 1500;
    let exists = [1, 2, 255, 256, 257, 511, 512, 513, 1024, COUNT];
    let add = |port| Op::AddVirtualServer(server(tcp(VIP4, port), "rr"));
    do_all(kernel, exists.map(add));
    let outcomes = kernel.apply(&stage((1..=COUNT).map(add)));
    assert_eq!(outcomes.len(), usize::from(COUNT));
    for (port, outcome) in (1..=COUNT).zip(outcomes) {
        match outcome {
            Ok(()) => assert!(!exists.contains(&port), "{port} existed"),
            Err(error) => {
                assert!(exists.contains(&port), "{port}: {:?}", error.kind());
                assert_eq!(*error.kind(), OpErrorKind::AlreadyExists);
                assert_eq!(*error.op(), add(port));
            }
        }
    }
    let tables = read(kernel).tables.virtual_servers;
    assert_eq!(tables.len(), usize::from(COUNT));
}

fn a_stage_is_done_in_the_order_in_which_it_stands(kernel: &mut dyn ContractKernel) {
    let key = tcp(VIP4, 80);
    do_all(
        kernel,
        [
            Op::EnsureDevice,
            Op::AddAddress(VIP4),
            Op::AddVirtualServer(server(key, "rr")),
            Op::AddRealServer(key, real(1, 1)),
            Op::SetRealServer(key, real(1, 2)),
            Op::DelAddress(VIP4),
            Op::DelRealServer(key, real(1, 2).key),
            Op::AddRealServer(key, real(1, 3)),
            Op::AddAddress(VIP4),
        ],
    );
    let tables = read(kernel).tables;
    let reals = &tables.virtual_servers[&key].real_servers;
    assert_eq!(reals.values().collect::<Vec<_>>(), [&real(1, 3)]);
    assert!(tables.addresses.contains(&VIP4));
}

fn every_change_may_fail_and_each_has_its_outcome(kernel: &mut dyn ContractKernel) {
    let missing = (1..=600).map(|port| Op::DelVirtualServer(tcp(VIP4, port)));
    let outcomes = kernel.apply(&stage(missing));
    assert_eq!(outcomes.len(), 600);
    for outcome in outcomes {
        let kind = outcome
            .expect_err("the virtual server does not exist")
            .kind()
            .clone();
        assert_eq!(kind, OpErrorKind::NoSuchVirtualServer);
    }
}

fn an_error_names_the_change_its_key_and_the_cause(kernel: &mut dyn ContractKernel) {
    let key = tcp(VIP4, 80);
    let op = Op::AddRealServer(key, real(1, 1));
    assert_eq!(
        refused(kernel, op.clone()),
        OpErrorKind::NoSuchVirtualServer
    );
    let outcomes = kernel.apply(&stage([op]));
    let error = outcomes[0].as_ref().expect_err("the change is refused");
    assert_eq!(
        error.to_string(),
        "failed to add real server 10.1.0.1:8080 to 10.96.0.10:80/TCP"
    );
    let source = std::error::Error::source(error).expect("a cause");
    assert_eq!(
        source.to_string(),
        "there is no such virtual server: No such process (os error 3)"
    );
}
