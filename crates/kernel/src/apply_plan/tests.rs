use model::{Op, Plan, text};

use super::{OpStatus, apply_plan};
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
