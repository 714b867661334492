//! Checks of virtual servers.

use std::time::Duration;

use super::{Invalid, InvalidName, LONGEST_NAME, LONGEST_PERSISTENCE};
use crate::types::{AddressFamily, Protocol, ServiceFlags, VirtualServer, VirtualServerKey};

const KNOWN_FLAGS: u32 = ServiceFlags::PERSISTENT.bits()
    | ServiceFlags::ONE_PACKET.bits()
    | ServiceFlags::SCHED_1.bits()
    | ServiceFlags::SCHED_2.bits()
    | ServiceFlags::SCHED_3.bits();

pub(super) fn problems(server: &VirtualServer) -> Vec<Invalid> {
    // The destructuring makes sure that a new field is not forgotten here.
    let VirtualServer {
        key,
        scheduler,
        flags,
        persistence_timeout,
        persistence_prefix,
        persistence_engine,
    } = server;
    let persistent = flags.contains(ServiceFlags::PERSISTENT);
    let mut problems = Vec::new();
    problems.extend(key_problem(key, persistent));
    problems.extend(name_problem(&scheduler.0).map(Invalid::Scheduler));
    problems.extend(flag_problems(key, *flags));
    problems.extend(timeout_problems(*persistence_timeout, persistent));
    problems.extend(prefix_problem(
        key.family(),
        *persistence_prefix,
        persistent,
    ));
    if let Some(engine) = persistence_engine {
        problems.extend(name_problem(engine).map(Invalid::PersistenceEngine));
        problems.extend((!persistent).then_some(Invalid::EngineWithoutPersistence));
    }
    problems
}

fn key_problem(key: &VirtualServerKey, persistent: bool) -> Option<Invalid> {
    let VirtualServerKey::Address { port, protocol, .. } = *key else {
        return None;
    };
    if let Protocol::Other(_) = protocol {
        Some(Invalid::Protocol { protocol })
    } else {
        (port == 0 && !persistent).then_some(Invalid::PortWithoutPersistence)
    }
}

fn name_problem(name: &str) -> Option<InvalidName> {
    if name.is_empty() {
        Some(InvalidName::Empty)
    } else if name.len() > LONGEST_NAME {
        Some(InvalidName::TooLong { bytes: name.len() })
    } else {
        name.contains('\0').then_some(InvalidName::HoldsZero)
    }
}

fn flag_problems(key: &VirtualServerKey, flags: ServiceFlags) -> impl Iterator<Item = Invalid> {
    let unknown = flags.bits() & !KNOWN_FLAGS;
    let one_packet = match *key {
        VirtualServerKey::Address { protocol, .. }
            if flags.contains(ServiceFlags::ONE_PACKET) && protocol != Protocol::Udp =>
        {
            Some(Invalid::OnePacket { protocol })
        }
        _ => None,
    };
    let unknown = (unknown != 0).then_some(Invalid::Flags { unknown });
    unknown.into_iter().chain(one_packet)
}

fn timeout_problems(timeout: Duration, persistent: bool) -> Vec<Invalid> {
    let mut problems = Vec::new();
    if persistent && timeout.is_zero() {
        problems.push(Invalid::PersistenceWithoutTimeout);
    }
    if !persistent && !timeout.is_zero() {
        problems.push(Invalid::TimeoutWithoutPersistence(timeout));
    }
    if timeout.subsec_nanos() != 0 {
        problems.push(Invalid::TimeoutFraction(timeout));
    }
    if timeout > LONGEST_PERSISTENCE {
        problems.push(Invalid::TimeoutTooLong(timeout));
    }
    problems
}

fn prefix_problem(family: AddressFamily, prefix: u8, persistent: bool) -> Option<Invalid> {
    let (range, each_alone) = match family {
        // With length 0 all clients count as one.
        AddressFamily::Ipv4 => (0..=32, 32),
        AddressFamily::Ipv6 => (1..=128, 128),
    };
    if range.contains(&prefix) {
        let without_effect = !persistent && prefix != each_alone;
        without_effect.then_some(Invalid::PrefixWithoutPersistence { prefix })
    } else {
        Some(Invalid::Prefix { prefix, family })
    }
}
