//! Measures the cost of deletions. The kernel remembers a deleted real server until it is idle for
//! minutes, and searches all of them at each addition (`ip_vs_trash_get_dest`,
//! net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1). This is the reason for which a plan deletes no entry
//! that it needs again.

use std::time::{Duration, Instant};

use kernel::contract::builders::stage;
use kernel::{Kernel as _, LinuxKernel, ModulePolicy};
use model::Op;

use crate::Outcome;
use crate::node::Node;
use crate::report::sample;
use crate::shape::Shape;

/// Maximum number of real servers. More of them take minutes.
pub(crate) const AT_MOST: u64 = 20_000;

const OPERATION: &str = "real servers come back";

/// Runs the measurements, in the empty network namespace of this thread.
pub(crate) fn all(shape: Shape) -> Outcome {
    let mut node = Node::start()?;
    node.take(shape.events())?;
    let tables = node.desired().tables.clone();
    let each = |op: &dyn Fn(&ipvs::VirtualServerKey, ipvs::RealServer) -> Op| -> Vec<Op> {
        let servers = tables.virtual_servers.iter();
        servers
            .flat_map(|(key, entry)| entry.real_servers.values().map(|real| op(key, *real)))
            .collect()
    };
    let weigh = |weight: u32| {
        each(&|key, real| Op::SetRealServer(*key, ipvs::RealServer { weight, ..real }))
    };
    let delete = || each(&|key, real| Op::DelRealServer(*key, real.key));
    let add = || each(&|key, real| Op::AddRealServer(*key, real));

    let mut kernel = LinuxKernel::open(ModulePolicy::Load)?;
    apply(&mut kernel, weigh(0))?;
    let by_weight = apply(&mut kernel, weigh(1))?;
    sample(OPERATION, shape, "kube-ipvs", by_weight);
    apply(&mut kernel, delete())?;
    let again = apply(&mut kernel, add())?;
    sample(OPERATION, shape, "after they were deleted", again);
    Ok(())
}

/// Applies `ops`, all of which must succeed.
fn apply(kernel: &mut LinuxKernel, ops: Vec<Op>) -> Outcome<Duration> {
    let stage = stage(ops);
    let began = Instant::now();
    let outcomes = kernel.apply(&stage);
    let took = began.elapsed();
    outcomes.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(took)
}
