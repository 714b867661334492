use model::{Op, Plan, text};

use super::{OpStatus, apply_plan, apply_plan_until};
use crate::OpErrorKind;
use crate::contract::builders::stage;
use crate::memory::{Fault, MemoryKernel};

/// Without its address, a virtual server of ours would look foreign.
#[test]
fn an_address_stays_while_its_virtual_server_cannot_be_deleted() {
    let tables =
        text::parse("-A -t 10.96.0.1:80 -s rr\n# addresses\n10.96.0.1/32\n").expect("it parses");
    let key = *tables.virtual_servers.keys().next().expect("one");
    let plan = Plan {
        stages: vec![
            stage([Op::DelVirtualServer(key)]),
            stage([Op::DelAddress([10, 96, 0, 1].into())]),
            stage([Op::DelDevice]),
        ],
        ..Plan::default()
    };
    let mut kernel = MemoryKernel::with_tables(&tables);
    kernel.inject(0, Fault::Refuse(OpErrorKind::Invalid));
    let mut outcomes = Vec::new();
    apply_plan(&mut kernel, &plan, |_, status| outcomes.push(status));
    assert!(
        matches!(
            outcomes[..],
            [OpStatus::Failed(_), OpStatus::Skipped, OpStatus::Skipped]
        ),
        "{outcomes:?}"
    );
    assert_eq!(kernel.tables(), MemoryKernel::with_tables(&tables).tables());
}

#[test]
fn a_stopped_plan_reports_what_was_tried_and_leaves_the_rest() {
    let add = |address: u8| Op::AddAddress([10, 96, 0, address].into());
    let plan = Plan {
        stages: vec![
            stage([Op::EnsureDevice]),
            stage([add(1), add(2)]),
            stage([add(3)]),
        ],
        ..Plan::default()
    };
    for (batches, expected) in [(0, 0), (1, 1), (2, 3), (3, 4), (9, 4)] {
        let mut kernel = MemoryKernel::new();
        let (mut asked, mut reported) = (0, 0);
        let stop = || {
            asked += 1;
            asked > batches
        };
        apply_plan_until(&mut kernel, &plan, stop, |_, _| reported += 1);
        assert_eq!(reported, expected, "{batches} batches");
        let addresses = kernel.tables().addresses.len();
        assert_eq!(addresses, usize::saturating_sub(expected, 1));
    }
}
