//! Lasting faults of the kernel, and the entries that each affects.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipvs::{AddressFamily, RealServerKey, Scheduler, VirtualServer, VirtualServerKey};
use kernel::OpErrorKind;
use kernel::contract::builders::{server, tcp};
use kernel::memory::{Fault, FaultRule, Held, Part, TornReading};
use model::NodeTables;
use model::plan::OpEffect;

use super::deadlines::{Cause, Wrong};
use super::random::Random;
use crate::node::{Node, Rules};
use crate::subject::{Subject, address_of};

/// A fault.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The kernel fails.
    Rule(FaultRule),
    /// Readings and stages take this long.
    Slow(Duration, Duration),
    /// Another program writes the IPVS table continuously, so readings are torn.
    Writer,
}

/// A fault that lasts.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) trouble: Trouble,
    held: Option<Held>,
    pub(super) since: Instant,
}

impl Trouble {
    /// Returns any fault, on a node with these tables. Readings that miss an entry without a sign
    /// never miss a `foreign` one, because the loop could not know that it exists.
    pub(super) fn any(
        random: &mut Random,
        tables: &NodeTables,
        foreign: &BTreeSet<VirtualServerKey>,
    ) -> Self {
        match random.below(12) {
            0..3 => Self::Rule(FaultRule::Unreadable(part(random, tables))),
            3..5 => Self::Rule(FaultRule::Torn(tear(random, tables, foreign))),
            5 => Self::Writer,
            6 => {
                let longest = [5, 40, 400, 5_000, 60_000][random.below(5)];
                let longest = Duration::from_millis(longest);
                let time = |random: &mut Random| random.time(Duration::ZERO, longest);
                Self::Slow(time(random), time(random))
            }
            7 => {
                let name = Scheduler(random.pick(["rr", "wlc"]).unwrap_or("rr").into());
                let kind = OpErrorKind::UnknownScheduler(name.clone());
                Self::Rule(FaultRule::refuse(Part::Scheduler(name), kind))
            }
            _ => Self::Rule(FaultRule::Ops {
                part: part(random, tables),
                effect: random
                    .pick([None, None, Some(OpEffect::Add), Some(OpEffect::Delete)])
                    .flatten(),
                fault: match random.below(4) {
                    0 => Fault::LoseRequest,
                    1 => Fault::LoseAnswer,
                    _ => Fault::Refuse(OpErrorKind::NotPermitted),
                },
            }),
        }
    }

    /// Starts the fault.
    pub(super) fn begin(self, node: &mut Node) -> Active {
        let held = match &self {
            Self::Rule(rule) => {
                node.guard.blind |= is_silent(rule);
                Some(rule.clone())
            }
            Self::Slow(reading, applying) => {
                (node.reading, node.applying) = (*reading, *applying);
                None
            }
            Self::Writer => {
                let server = writers_server();
                node.guard.foreign.insert(server.key);
                node.writer = Some(server);
                Some(FaultRule::Torn(TornReading {
                    flagged: true,
                    ..TornReading::default()
                }))
            }
        };
        Active {
            held: held.map(|rule| node.kernel.hold(rule)),
            trouble: self,
            since: node.now,
        }
    }
}

impl Active {
    /// Ends the fault.
    pub(super) fn end(&self, node: &mut Node) {
        match &self.trouble {
            Trouble::Rule(rule) => {
                if is_silent(rule) {
                    node.guard.blind = false;
                }
            }
            Trouble::Slow(..) => {
                (node.reading, node.applying) = (Duration::ZERO, Duration::ZERO);
            }
            Trouble::Writer => node.writer = None,
        }
        if let Some(held) = self.held {
            node.kernel.release(held);
        }
    }

    /// Returns true if this fault replaces no setting of `other`.
    pub(super) fn goes_with(&self, other: &Trouble) -> bool {
        let alone = |trouble: &Trouble| match trouble {
            Trouble::Rule(rule) => u8::from(is_silent(rule)),
            Trouble::Slow(..) => 2,
            Trouble::Writer => 3,
        };
        alone(&self.trouble) != alone(other) || alone(other) == 0
    }

    /// Returns the virtual servers that readings miss without a sign.
    pub(super) fn hidden(&self) -> BTreeSet<VirtualServerKey> {
        match &self.trouble {
            Trouble::Rule(rule @ FaultRule::Torn(tear)) if is_silent(rule) => hidden_by(tear),
            _ => BTreeSet::new(),
        }
    }

    /// Returns true if readings fail or are torn.
    pub(super) fn disturbs_readings(&self) -> bool {
        matches!(
            self.trouble,
            Trouble::Writer | Trouble::Rule(FaultRule::Unreadable(_) | FaultRule::Torn(_))
        )
    }

    /// Returns true if the loop needs a reading after this fault to know the kernel's state.
    pub(super) fn needs_reading(&self) -> bool {
        self.disturbs_readings()
            || matches!(
                self.trouble,
                Trouble::Rule(FaultRule::Ops {
                    fault: Fault::LoseAnswer | Fault::LoseRequest,
                    ..
                })
            )
    }

    /// Returns true if this fault excuses a wrong entry.
    pub(super) fn excuses(
        &self,
        subject: &Subject,
        wrong: Wrong,
        cause: Cause,
        rules: Rules,
    ) -> bool {
        // A change needs no reading: the earlier state is still known.
        let must_be_read = rules == Rules::ReadBeforeDrain || cause.needs_reading();
        match &self.trouble {
            Trouble::Slow(..) => false,
            Trouble::Writer => must_be_read || wrong != Wrong::Lacking,
            Trouble::Rule(FaultRule::Unreadable(_)) => must_be_read || wrong.is_at_rest(),
            Trouble::Rule(FaultRule::Torn(tear)) => {
                let server = subject.virtual_server();
                let hidden = server.is_some_and(|key| hidden_by(tear).contains(&key));
                match tear.flagged {
                    true => hidden || must_be_read || wrong != Wrong::Lacking,
                    false => hidden || rules == Rules::ReadBeforeDrain,
                }
            }
            Trouble::Rule(FaultRule::Ops {
                part,
                effect,
                fault,
            }) => {
                let by_effect = match effect {
                    // The outcome shows when the entry is read at its next attempt, whatever is
                    // desired by then.
                    _ if matches!(fault, Fault::LoseAnswer | Fault::LoseRequest) => true,
                    Some(OpEffect::Delete) => wrong != Wrong::Lacking || is_part_of_rules(subject),
                    // A deletion waits for the addition that replaces the entry.
                    Some(OpEffect::Add | OpEffect::Change) | None => true,
                };
                by_effect && suffers(subject, wrong, part, fault)
            }
        }
    }
}

fn is_part_of_rules(subject: &Subject) -> bool {
    matches!(
        subject,
        Subject::Rules(_) | Subject::Set(_) | Subject::Entry(..)
    )
}

fn is_silent(rule: &FaultRule) -> bool {
    matches!(rule, FaultRule::Torn(tear) if !tear.flagged)
}

fn hidden_by(tear: &TornReading) -> BTreeSet<VirtualServerKey> {
    let with_real = tear.real_servers.iter().map(|(key, _)| *key);
    (tear.virtual_servers.iter().copied())
        .chain(with_real)
        .collect()
}

/// Returns true if an entry waits for changes of `part`: its own, or earlier ones of a plan.
fn suffers(subject: &Subject, wrong: Wrong, part: &Part, fault: &Fault) -> bool {
    use Subject as S;
    let comes = wrong == Wrong::Lacking;
    match (part, subject) {
        (Part::Everything, _)
        | (Part::Settings, S::Sysctl(_) | S::Timeouts)
        | (Part::Sets | Part::Set(_), S::Set(_) | S::Entry(..) | S::Rules(_))
        | (Part::Rules(_), S::Set(_) | S::Entry(..))
        | (Part::Device, S::Device | S::Address(_))
        | (Part::Addresses, S::Address(_))
        | (
            Part::VirtualServers | Part::Scheduler(_),
            S::VirtualServer(_) | S::Address(_) | S::Entry(..),
        )
        | (Part::RealServers, S::RealServer(..)) => true,
        (Part::Sets | Part::Set(_) | Part::Device | Part::Addresses, S::VirtualServer(_))
        | (Part::Sets | Part::Set(_), S::Address(_)) => comes,
        // A failed virtual server is read when it is retried, as are connections. One that may not
        // exist gets no real servers.
        (Part::VirtualServers | Part::Scheduler(_), S::RealServer(..)) => {
            wrong.is_at_rest() || (comes && matches!(fault, Fault::LoseAnswer))
        }
        (Part::Rules(family), S::Rules(of)) => family == of,
        (Part::Rules(family), S::Address(address)) => {
            comes && *family == AddressFamily::of(*address)
        }
        (Part::Rules(family), S::VirtualServer(key)) => {
            comes && address_of(*key).map(AddressFamily::of) == Some(*family)
        }
        _ => false,
    }
}

fn part(random: &mut Random, tables: &NodeTables) -> Part {
    match random.below(11) {
        0 => Part::Everything,
        1 => Part::Settings,
        2 => Part::Sets,
        3 => random
            .pick(tables.sets.keys().cloned())
            .map_or(Part::Sets, Part::Set),
        4 => Part::Rules(AddressFamily::Ipv4),
        5 => Part::Rules(AddressFamily::Ipv6),
        6 => Part::Device,
        7 => Part::Addresses,
        8 => Part::VirtualServers,
        _ => Part::RealServers,
    }
}

fn tear(
    random: &mut Random,
    tables: &NodeTables,
    foreign: &BTreeSet<VirtualServerKey>,
) -> TornReading {
    let flagged = random.percent(60);
    let servers = tables.virtual_servers.iter();
    let mut virtual_servers = BTreeSet::new();
    let mut real_servers = BTreeSet::new();
    if let Some((key, entry)) =
        random.pick(servers.filter(|(key, _)| flagged || !foreign.contains(key)))
    {
        let real: Option<RealServerKey> = random.pick(entry.real_servers.keys().copied());
        match real.filter(|_| random.percent(50)) {
            Some(real) => {
                real_servers.insert((*key, real));
            }
            None => {
                virtual_servers.insert(*key);
            }
        }
    }
    TornReading {
        virtual_servers,
        real_servers,
        flagged,
    }
}

/// Returns a virtual server at an address that no Service has.
pub(super) fn foreign_server(address: [u8; 4], port: u16) -> VirtualServer {
    server(tcp(address, port), "wlc")
}

fn writers_server() -> VirtualServer {
    foreign_server([172, 16, 0, 99], 99)
}
