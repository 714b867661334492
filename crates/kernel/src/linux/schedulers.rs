//! The schedulers of virtual servers: their modules, and those that the kernel lacks.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ipvs::Scheduler;
use ipvs::client::Request;
use tracing::debug;

use super::modules::{self, ModulePolicy, Presence};
use super::stop::StopSignal;

/// Time after which a scheduler that the kernel lacks is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Schedulers whose modules the kernel must not load itself, because that can hang the node's network configuration: see
/// [`ModulePolicy`]. The kernel is asked for them only if they are there.
const NEVER_LOADED_BY_THE_KERNEL: [&str; 2] = ["lblc", "lblcr"];

/// Sends requests, and none that needs a scheduler which the kernel is known to lack.
///
/// Such a request is expensive: the kernel runs `modprobe` for it, with the mutex of IPVS locked. So the first request with a
/// scheduler goes alone, after its module was loaded. If the kernel lacks the scheduler, further requests with it are
/// refused here for [`ASK_AGAIN`], or until its module appears.
pub(super) struct Schedulers {
    policy: ModulePolicy,
    states: BTreeMap<Scheduler, State>,
}

/// State of a scheduler that was asked for.
#[derive(Clone, Copy)]
enum State {
    /// Its module was looked for, and the kernel has not said yet whether it has the scheduler.
    Untried,
    /// The kernel took a virtual server with it.
    Present,
    /// The kernel lacks it.
    Missing {
        until: Instant,
        /// True if a module of its name was loaded nevertheless.
        loaded: bool,
    },
}

/// Why a request was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal<E> {
    /// The kernel's answer.
    Kernel(E),
    /// It was not sent: the kernel lacks its scheduler.
    NoScheduler,
}

/// The modules of the running kernel.
pub(super) trait Modules {
    fn is_loaded(&self, module: &str) -> bool;
    /// Returns true if `module` is a part of the kernel. Slower.
    fn is_built_in(&self, module: &str) -> bool;
    /// Loads `module` if that is possible.
    fn load(&mut self, module: &str);
}

/// Modules by `modprobe`, which ends when the signal is set.
pub(super) struct Modprobe<'a>(pub(super) &'a StopSignal);

impl Modules for Modprobe<'_> {
    fn is_loaded(&self, module: &str) -> bool {
        Path::new("/sys/module").join(module).exists()
    }

    fn is_built_in(&self, module: &str) -> bool {
        modules::presence(module) == Presence::Loaded
    }

    fn load(&mut self, module: &str) {
        if let Err(error) = modules::modprobe(module, self.0) {
            debug!("{error}");
        }
    }
}

impl Schedulers {
    pub(super) fn new(policy: ModulePolicy) -> Self {
        Self {
            policy,
            states: BTreeMap::new(),
        }
    }

    /// Sends `requests` in order by `send`, which answers each of them. `is_missing` tells answers that say that the kernel lacks
    /// the scheduler. Returns one answer for each request.
    pub(super) fn execute<E>(
        &mut self,
        requests: &[Request],
        now: Instant,
        modules: &mut impl Modules,
        mut send: impl FnMut(&[Request]) -> Vec<Result<(), E>>,
        is_missing: impl Fn(&E) -> bool,
    ) -> Vec<Result<(), Refusal<E>>> {
        let mut answers = Vec::with_capacity(requests.len());
        while answers.len() < requests.len() {
            let rest = &requests[answers.len()..];
            let run = self.run(rest, now, modules);
            if run.is_empty() {
                answers.push(Err(Refusal::NoScheduler));
                continue;
            }
            for (request, answer) in run.iter().zip(send(run)) {
                if let Some(scheduler) = scheduler_of(request) {
                    self.learn(
                        scheduler,
                        answer.as_ref().map_err(&is_missing),
                        now,
                        modules,
                    );
                }
                answers.push(answer.map_err(Refusal::Kernel));
            }
        }
        answers
    }

    /// Returns the first of `requests`, as many as can be sent at once. They end before one whose scheduler is missing, and with one
    /// whose scheduler is untried.
    fn run<'a>(
        &mut self,
        requests: &'a [Request],
        now: Instant,
        modules: &mut impl Modules,
    ) -> &'a [Request] {
        for (index, request) in requests.iter().enumerate() {
            let Some(scheduler) = scheduler_of(request) else {
                continue;
            };
            match self.state(scheduler, now, modules) {
                State::Present => {}
                State::Untried => return &requests[..=index],
                State::Missing { .. } => return &requests[..index],
            }
        }
        requests
    }

    /// Returns the state of `scheduler`. Loads its module if that was not tried within [`ASK_AGAIN`].
    fn state(&mut self, scheduler: &Scheduler, now: Instant, modules: &mut impl Modules) -> State {
        let state = match self.states.get(scheduler) {
            Some(State::Missing { until, .. }) if *until <= now => None,
            Some(State::Missing { loaded: false, .. }) if is_loaded(scheduler, modules) => None,
            known => known.copied(),
        };
        if let Some(state) = state {
            return state;
        }
        let mut state = State::Untried;
        if !is_loaded(scheduler, modules)
            && let Some(module) = module_of(scheduler)
        {
            if self.policy == ModulePolicy::Load {
                modules.load(&module);
            }
            if NEVER_LOADED_BY_THE_KERNEL.contains(&&*scheduler.0)
                && !modules.is_loaded(&module)
                && !modules.is_built_in(&module)
            {
                state = State::Missing {
                    until: now + ASK_AGAIN,
                    loaded: false,
                };
            }
        }
        self.states.insert(scheduler.clone(), state);
        state
    }

    /// Notes what an answer says about `scheduler`; an error is true if it says that the kernel lacks it.
    fn learn(
        &mut self,
        scheduler: &Scheduler,
        answer: Result<&(), bool>,
        now: Instant,
        modules: &impl Modules,
    ) {
        let state = match answer {
            Ok(()) => State::Present,
            Err(true) => State::Missing {
                until: now + ASK_AGAIN,
                loaded: is_loaded(scheduler, modules),
            },
            Err(false) => return,
        };
        self.states.insert(scheduler.clone(), state);
    }
}

fn scheduler_of(request: &Request) -> Option<&Scheduler> {
    match request {
        Request::NewService(server) | Request::SetService(server) => Some(&server.scheduler),
        _ => None,
    }
}

fn is_loaded(scheduler: &Scheduler, modules: &impl Modules) -> bool {
    module_of(scheduler).is_some_and(|module| modules.is_loaded(&module))
}

/// The module of `scheduler`; none if its name can be no module's.
fn module_of(scheduler: &Scheduler) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let name = &scheduler.0;
    (name.bytes().all(plain)).then(|| format!("{}_{name}", modules::MODULE))
}
