//! Converts the ops of a stage into requests of the tables that they change.

#[cfg(test)]
mod tests;

use std::iter::Peekable;

use ipvs::AddressFamily;
use model::kernel::{OpError, OpOutcome};
use model::rules::RulesPatch;
use model::{Name, Op};

use super::addresses::{AddressChange, DeviceChange};

/// The change of an op, as a request of the table that applies it.
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
    /// Returns the change of `op`. Only this function decides which table applies an op.
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
            Op::StopSyncDaemon(role) => Self::Ipvs(Ipvs::DelDaemon(*role)),
            Op::StartSyncDaemon(daemon) => Self::Ipvs(Ipvs::NewDaemon(daemon.clone())),
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

/// Consecutive ops of a stage that the same table applies, each with its request. A table receives
/// only requests of its own type, and its outcomes are matched with the ops of these requests.
#[derive(Debug)]
pub(super) struct Batch<'a, R> {
    ops: Vec<&'a Op>,
    requests: Vec<R>,
}

impl<'a, R> Batch<'a, R> {
    /// Creates a batch of one op.
    pub(super) fn new(op: &'a Op, request: R) -> Self {
        Self {
            ops: vec![op],
            requests: vec![request],
        }
    }

    /// Creates a batch of `op` and the following ops in `changes` that `is_alike` accepts, at most
    /// `limit` in total.
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

    /// Returns the outcomes of the ops. `answers` contains one answer for each request, in the same
    /// order.
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

    /// Returns the outcomes of a batch that was not sent.
    pub(super) fn refused(&self, error: impl Fn(&Op) -> OpError) -> Vec<OpOutcome> {
        self.ops.iter().map(|op| Err(error(op))).collect()
    }
}
