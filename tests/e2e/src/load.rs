//! Clients that never stop asking.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::namespace::Namespace;
use crate::probe::{Answer, request, request_and_reset};
use crate::socket::Protocol;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take until there were enough requests.
const ENOUGH: Duration = Duration::from_secs(60);
/// How long a client rests between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// Clients that ask, each one request after the other over a connection of its own.
#[derive(Debug)]
pub struct Load {
    ended: Arc<AtomicBool>,
    sum: Arc<Mutex<Sum>>,
    threads: Vec<JoinHandle<()>>,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// Answers by pod.
    pub answers: BTreeMap<String, usize>,
    /// Why requests were not answered, and when since the beginning.
    pub failures: Vec<(Duration, String)>,
    /// The longest time that an answer took.
    pub slowest: Duration,
}

impl Load {
    /// Begins with as many clients for each of the targets.
    #[must_use]
    pub fn start(from: &Namespace, targets: &[(Protocol, SocketAddr)], clients: usize) -> Self {
        Self::by(from, targets, clients, |protocol, target| {
            request(protocol, None, target, PATIENCE)
        })
    }

    /// The same over TCP. Each connection is reset once its answer is there, so that neither end keeps it. An
    /// answer may take three times as long: these are many clients on a busy machine.
    #[must_use]
    pub fn start_resetting(from: &Namespace, targets: &[SocketAddr], clients: usize) -> Self {
        let targets: Vec<_> = (targets.iter())
            .map(|target| (Protocol::Tcp, *target))
            .collect();
        Self::by(from, &targets, clients, |_, target| {
            request_and_reset(None, target, 3 * PATIENCE)
        })
    }

    fn by(
        from: &Namespace,
        targets: &[(Protocol, SocketAddr)],
        clients: usize,
        ask: fn(Protocol, SocketAddr) -> io::Result<Answer>,
    ) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let sum = Arc::new(Mutex::new(Sum::default()));
        let begin = Instant::now();
        let threads = from.run(|| {
            let each = targets.iter().flat_map(|target| vec![*target; clients]);
            each.map(|(protocol, target)| {
                let (ended, sum) = (Arc::clone(&ended), Arc::clone(&sum));
                thread::spawn(move || {
                    while !ended.load(Ordering::Relaxed) {
                        let started = Instant::now();
                        let answer = ask(protocol, target);
                        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                        sum.slowest = sum.slowest.max(started.elapsed());
                        match answer {
                            Ok(answer) => *sum.answers.entry(answer.pod).or_default() += 1,
                            Err(error) => {
                                let what = format!("{target}/{protocol}: {error}");
                                sum.failures.push((begin.elapsed(), what));
                            }
                        }
                        drop(sum);
                        thread::sleep(PAUSE);
                    }
                })
            })
            .collect()
        });
        Self {
            ended,
            sum,
            threads,
        }
    }

    /// How many answers there were so far.
    #[must_use]
    pub fn answers(&self) -> usize {
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.answers.values().sum()
    }

    /// Ends it once there were at least `least` answers, where every request was answered.
    ///
    /// # Errors
    /// With the first failure, if one was not; where there are too few answers for a minute.
    pub fn complete(self, least: usize) -> Outcome<Sum> {
        let begin = Instant::now();
        while self.answers() < least && begin.elapsed() < ENOUGH {
            thread::sleep(PAUSE);
        }
        let sum = self.stop();
        let answers: usize = sum.answers.values().sum();
        match sum.failures.first() {
            Some((when, what)) => Err(Failure::new(format!(
                "{} of {} requests were not answered, first after {:.2} s: {what}",
                sum.failures.len(),
                sum.failures.len() + answers,
                when.as_secs_f64(),
            ))),
            None if answers < least => Err(Failure::new(format!(
                "{answers} requests are too few to show anything"
            ))),
            None => Ok(sum),
        }
    }

    fn stop(self) -> Sum {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // What it counted before it panicked counts.
            let _ = thread.join();
        }
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.clone()
    }
}
