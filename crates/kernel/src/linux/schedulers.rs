//! Loads the modules of schedulers and remembers missing schedulers.

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

/// Time after which a missing scheduler is requested again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Schedulers whose modules the kernel must not load itself, because that can block the network
/// configuration of the node: see [`ModulePolicy`]. They are requested only if their modules are
/// already present.
const NEVER_LOADED_BY_THE_KERNEL: [&str; 2] = ["lblc", "lblcr"];

/// Sends requests, except those that need a scheduler known to be missing.
///
/// Such a request is expensive, since the kernel runs `modprobe` with the mutex of IPVS locked.
/// Therefore the first request with a scheduler is sent alone, after its module was loaded. If the
/// kernel lacks the scheduler, further requests with it are refused here for [`ASK_AGAIN`], or
/// until its module appears.
pub(super) struct Schedulers {
    policy: ModulePolicy,
    states: BTreeMap<Scheduler, State>,
}

/// State of a requested scheduler.
#[derive(Clone, Copy)]
enum State {
    /// Its module was searched, and the kernel has not answered yet.
    Untried,
    /// The kernel accepted a virtual server with it.
    Present,
    /// The kernel lacks it.
    Missing {
        until: Instant,
        /// True if a module with its name is loaded anyway.
        loaded: bool,
    },
}

/// Reason why a request failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal<E> {
    /// The kernel refused the request.
    Kernel(E),
    /// The request was not sent, because the kernel lacks its scheduler.
    NoScheduler,
}

/// Modules of the running kernel.
pub(super) trait Modules {
    fn is_loaded(&self, module: &str) -> bool;
    /// Returns true if `module` is built in. Slower than [`Self::is_loaded`].
    fn is_built_in(&self, module: &str) -> bool;
    /// Loads `module` if possible.
    fn load(&mut self, module: &str);
}

/// Loads modules with `modprobe`, which is killed when the signal is set.
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

    /// Sends `requests` in order through `send`, which answers each of them. `is_missing`
    /// recognises errors that report a missing scheduler. Returns one answer for each request.
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

    /// Returns the longest prefix of `requests` that can be sent at once. It ends before a request
    /// whose scheduler is missing, and after one whose scheduler is untried.
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

    /// Returns the state of `scheduler`. Loads its module unless that was tried within
    /// [`ASK_AGAIN`].
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

    /// Records the answer about `scheduler`. An error of true reports that the kernel lacks it.
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

/// Returns the module of `scheduler`, or `None` if its name cannot be that of a module.
fn module_of(scheduler: &Scheduler) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let name = &scheduler.0;
    (name.bytes().all(plain)).then(|| format!("{}_{name}", modules::MODULE))
}
