//! Clients that send requests until they are stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::bind;

use crate::failure::{Failure, Outcome};
use crate::namespace::Namespace;
use crate::probe::{Answer, parse, request};
use crate::socket::{Protocol, reset_at_end};
use crate::speed::scaled;
use crate::wire;

/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit for the required number of answers.
const ENOUGH: Duration = Duration::from_secs(60);
/// Number of failures in an error message.
const SHOWN: usize = 20;
/// Pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// Clients that send one request after the other, each over a new connection.
#[derive(Debug)]
pub struct Load {
    ended: Arc<AtomicBool>,
    sum: Arc<Mutex<Sum>>,
    threads: Vec<JoinHandle<()>>,
}

/// Answers and failures of the requests.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// Answers by pod.
    pub answers: BTreeMap<String, usize>,
    /// Failed requests: time since the start, and reason.
    pub failures: Vec<(Duration, String)>,
    /// Longest time of an answer.
    pub slowest: Duration,
}

impl Load {
    /// Starts `clients` clients for each target.
    #[must_use]
    pub fn start(from: &Namespace, targets: &[(Protocol, SocketAddr)], clients: usize) -> Self {
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
                        let answer = request(protocol, None, target, TIMEOUT);
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

    /// Starts to open `rate` TCP connections a second, spread over the targets. A
    /// [`Responder`](crate::Responder) is expected there. One thread opens them without waiting for
    /// earlier answers, and resets each after its answer, so that neither end keeps it. The time
    /// limit of an answer is three times as long, since the machine is busy.
    #[must_use]
    pub fn surge(from: &Namespace, targets: &[SocketAddr], rate: u32) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let sum = Arc::new(Mutex::new(Sum::default()));
        let surge = Surge {
            targets: targets.to_vec(),
            rate,
            ended: Arc::clone(&ended),
            sum: Arc::clone(&sum),
        };
        let thread = from.run(|| thread::spawn(move || surge.run()));
        Self {
            ended,
            sum,
            threads: vec![thread],
        }
    }

    /// Returns the number of answers so far.
    #[must_use]
    pub fn answers(&self) -> usize {
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.answers.values().sum()
    }

    /// Stops the clients after at least `least` answers. Every request must have been answered.
    ///
    /// # Errors
    /// A request was not answered, or there were too few answers in a minute.
    pub fn complete(self, least: usize) -> Outcome<Sum> {
        let begin = Instant::now();
        while self.answers() < least && begin.elapsed() < scaled(ENOUGH) {
            thread::sleep(PAUSE);
        }
        let sum = self.stop();
        let answers: usize = sum.answers.values().sum();
        match sum.failures.first() {
            Some(_) => {
                let shown =
                    sum.failures.iter().take(SHOWN).map(|(when, what)| {
                        format!("\n  after {:.2} s: {what}", when.as_secs_f64())
                    });
                Err(Failure::new(format!(
                    "{} of {} requests were not answered:{}",
                    sum.failures.len(),
                    sum.failures.len() + answers,
                    shown.collect::<String>(),
                )))
            }
            None if answers < least => Err(Failure::new(format!(
                "only {answers} answers in {ENOUGH:?}, expected {least}"
            ))),
            None => Ok(sum),
        }
    }

    fn stop(self) -> Sum {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // The counts of a thread that panicked are used too.
            let _ = thread.join();
        }
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.clone()
    }
}

/// Opens connections at a fixed rate.
struct Surge {
    targets: Vec<SocketAddr>,
    /// Connections a second.
    rate: u32,
    ended: Arc<AtomicBool>,
    sum: Arc<Mutex<Sum>>,
}

/// A connection without an answer yet.
struct Waiting {
    socket: OwnedFd,
    target: SocketAddr,
    since: Instant,
}

impl Surge {
    /// Maximum number of connections that wait for an answer.
    const WIDTH: usize = 256;
    /// Longest wait for answers before new connections are opened.
    const TICK: Duration = Duration::from_millis(2);
    /// Source ports, used in turn. IPVS keeps the port of the client. With ports that the kernel
    /// chooses for each target, two connections from one port to two Services would be the same
    /// connection to a pod of both. At 2,000 connections a second a port is used again after 25 s,
    /// when its connection is forgotten.
    const PORTS: Range<u16> = 15_000..65_000;

    fn run(&self) {
        let begin = Instant::now();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut ports = Self::PORTS.cycle();
        let mut opened = 0_u32;
        let mut ended = false;
        while !(ended && waiting.is_empty()) {
            ended |= self.ended.load(Ordering::Relaxed);
            let due = begin.elapsed().mul_f64(f64::from(self.rate)).as_secs();
            while !ended && u64::from(opened) < due && waiting.len() < Self::WIDTH {
                let target = self.targets[opened as usize % self.targets.len()];
                match self.open(target, ports.next().unwrap_or_default()) {
                    Ok(connection) => waiting.push(connection),
                    Err(error) => self.failed(begin, target, &error),
                }
                opened += 1;
            }
            self.take_answers(begin, &mut waiting);
        }
    }

    fn open(&self, target: SocketAddr, port: u16) -> io::Result<Waiting> {
        let socket = wire::socket(target, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
        reset_at_end(&socket)?;
        let any: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        bind(&socket, &SocketAddr::new(any, port))?;
        match wire::connect(&socket, target) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(Waiting {
            socket,
            target,
            since: Instant::now(),
        })
    }

    /// Receives answers, and gives up connections that have waited for too long.
    fn take_answers(&self, begin: Instant, waiting: &mut Vec<Waiting>) {
        let descriptors: Vec<BorrowedFd<'_>> =
            (waiting.iter().map(|each| each.socket.as_fd())).collect();
        let ready: BTreeSet<usize> = (wire::readable(&descriptors, Self::TICK).unwrap_or_default())
            .into_iter()
            .collect();
        let mut place = 0;
        waiting.retain(|connection| {
            let is_ready = ready.contains(&place);
            place += 1;
            let took = connection.since.elapsed();
            let answer = match is_ready {
                true => self.answer(connection),
                false if took > scaled(3 * TIMEOUT) => Err(self.gives_up(connection)),
                false => return true,
            };
            match answer {
                Ok(answer) => {
                    let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.slowest = sum.slowest.max(took);
                    *sum.answers.entry(answer.pod).or_default() += 1;
                }
                Err(error) => self.failed(begin, connection.target, &error),
            }
            false
        });
    }

    /// Returns the error for a connection that is given up.
    fn gives_up(&self, connection: &Waiting) -> io::Error {
        let port = wire::local_port(&connection.socket).unwrap_or_default();
        let came = match wire::is_connected(&connection.socket) {
            true => "no answer on the connection",
            false => "no connection",
        };
        io::Error::other(format!(
            "{came} from port {port} in {:?}",
            scaled(3 * TIMEOUT)
        ))
    }

    fn answer(&self, connection: &Waiting) -> io::Result<Answer> {
        let mut buffer = [0; 128];
        let length = wire::receive(&connection.socket, &mut buffer)?;
        parse(&String::from_utf8_lossy(&buffer[..length]))
    }

    fn failed(&self, begin: Instant, target: SocketAddr, error: &io::Error) {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let what = format!("{target}/TCP: {error}");
        sum.failures.push((begin.elapsed(), what));
    }
}
