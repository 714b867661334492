//! Which families a synchronisation served.

use std::collections::BTreeSet;

use ipvs::AddressFamily;
use model::plan::Op;

use reconciler::{Cause, Report};

/// Follows the reconciler's reports. One Service that cannot be served says nothing about the others
/// (deviation D2), and kube-proxy, too, calls itself healthy then; without its rules, sets or device a whole
/// family is not served.
#[derive(Clone, Debug)]
pub struct Served {
    families: BTreeSet<AddressFamily>,
    /// What failed since the last synchronisation ended.
    failed: BTreeSet<AddressFamily>,
}

impl Served {
    /// For a proxy of these families.
    #[must_use]
    pub fn new(families: BTreeSet<AddressFamily>) -> Self {
        Self {
            families,
            failed: BTreeSet::new(),
        }
    }

    /// The families for which the kernel is as asked now. None until a synchronisation ends that takes in
    /// what the cluster changed.
    pub fn observe(&mut self, report: &Report) -> BTreeSet<AddressFamily> {
        match report {
            Report::OpFailed(planned, _) => {
                self.fail(&planned.op);
                BTreeSet::new()
            }
            Report::Synced { cause, .. } => {
                let failed = std::mem::take(&mut self.failed);
                match cause {
                    Cause::Change | Cause::Audit => &self.families - &failed,
                    // About some entries alone: a change may still wait.
                    Cause::AuditSlice | Cause::Retry | Cause::Drain | Cause::Node => {
                        BTreeSet::new()
                    }
                }
            }
            _ => BTreeSet::new(),
        }
    }

    fn fail(&mut self, op: &Op) {
        match op {
            Op::PatchRules(family, _) => {
                self.failed.insert(*family);
            }
            // Rules look into the sets, and addresses are on the device.
            Op::EnsureDevice | Op::CreateSet(..) | Op::ReplaceSet(..) => {
                self.failed.extend(&self.families);
            }
            _ => {}
        }
    }
}
