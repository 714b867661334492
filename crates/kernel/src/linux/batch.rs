//! Ops of one stage, converted into the requests of the tables that they change.

#[cfg(test)]
mod tests;

use std::iter::Peekable;

use ipvs::AddressFamily;
use model::kernel::{OpError, OpOutcome};
use model::rules::RulesPatch;
use model::{Name, Op};

use super::addresses::{AddressChange, DeviceChange};

/// The change that an op asks for, in the terms of the one table that does it.
#[derive(Debug)]
pub(super) enum Change<'a> {
    Ipvs(ipvs::client::Request),
    Device(DeviceChange),
    Address(AddressChange),
    Set(ipset::client::Request),
    Rules(AddressFamily, &'a RulesPatch),
    Setting(&'a Name, &'a Name),
}

impl<'a> Change<'a> {
    /// The one place that says which table does an op.
    pub(super) fn of(op: &'a Op) -> Self {
        use ipset::client::Request as Set;
        use ipvs::client::Request as Ipvs;

        match op {
            Op::AddVirtualServer(server) => Self::Ipvs(Ipvs::NewService(server.clone())),
            Op::SetVirtualServer(server) => Self::Ipvs(Ipvs::SetService(server.clone())),
            Op::DelVirtualServer(key) => Self::Ipvs(Ipvs::DelService(*key)),
            Op::AddRealServer(key, real) => Self::Ipvs(Ipvs::NewDest(*key, *real)),
            Op::SetRealServer(key, real) => Self::Ipvs(Ipvs::SetDest(*key, *real)),
            Op::DelRealServer(key, real) => Self::Ipvs(Ipvs::DelDest(*key, *real)),
            Op::SetTimeouts(timeouts) => Self::Ipvs(Ipvs::SetTimeouts(*timeouts)),
            Op::EnsureDevice => Self::Device(DeviceChange::Ensure),
            Op::DelDevice => Self::Device(DeviceChange::Delete),
            Op::AddAddress(address) => Self::Address(AddressChange::Add(*address)),
            Op::DelAddress(address) => Self::Address(AddressChange::Delete(*address)),
            Op::CreateSet(name, header) => Self::Set(Set::Create(name.clone(), *header)),
            Op::ReplaceSet(name, set) => {
                Self::Set(Set::Replace(name.clone(), ipset::Set::clone(set)))
            }
            Op::AddEntry(name, entry) => Self::Set(Set::Add(name.clone(), *entry)),
            Op::DelEntry(name, entry) => Self::Set(Set::Del(name.clone(), *entry)),
            Op::DestroySet(name) => Self::Set(Set::Destroy(name.clone())),
            Op::PatchRules(family, patch) => Self::Rules(*family, patch),
            Op::SetSysctl(name, value) => Self::Setting(name, value),
        }
    }
}

/// Ops that follow each other in a stage and are done by the same table, each with its request. A table sees requests of its
/// own type alone, and outcomes are joined with the ops that these requests came from.
#[derive(Debug)]
pub(super) struct Batch<'a, R> {
    ops: Vec<&'a Op>,
    requests: Vec<R>,
}

impl<'a, R> Batch<'a, R> {
    /// A batch of one op.
    pub(super) fn new(op: &'a Op, request: R) -> Self {
        Self {
            ops: vec![op],
            requests: vec![request],
        }
    }

    /// A batch of `op` and of those after it in `changes` that `is_alike` takes, `limit` at most.
    pub(super) fn gather<I: Iterator<Item = (&'a Op, Change<'a>)>>(
        op: &'a Op,
        request: R,
        changes: &mut Peekable<I>,
        limit: usize,
        is_alike: impl Fn(Change<'a>) -> Result<R, Change<'a>>,
    ) -> Self {
        let mut batch = Self::new(op, request);
        while batch.ops.len() < limit
            && let Some((op, request)) = changes.next_if_map(|(op, change)| {
                (is_alike(change))
                    .map(|request| (op, request))
                    .map_err(|change| (op, change))
            })
        {
            batch.ops.push(op);
            batch.requests.push(request);
        }
        batch
    }

    pub(super) fn requests(&self) -> &[R] {
        &self.requests
    }

    /// The outcomes of the ops; `answers` has one for each request, in the same order.
    pub(super) fn outcomes<E>(
        &self,
        answers: impl IntoIterator<Item = Result<(), E>>,
        error: impl Fn(&Op, E) -> OpError,
    ) -> Vec<OpOutcome> {
        let answers = answers.into_iter().zip(&self.ops);
        answers
            .map(|(answer, op)| answer.map_err(|cause| error(op, cause)))
            .collect()
    }

    /// The outcomes where nothing was tried.
    pub(super) fn refused(&self, error: impl Fn(&Op) -> OpError) -> Vec<OpOutcome> {
        self.ops.iter().map(|op| Err(error(op))).collect()
    }
}
