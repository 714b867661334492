//! `ipvsctl get servers`.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::io::IsTerminal as _;
use std::thread;

use ipvs::{RealServerStatus, Statistics, VirtualServer};

use crate::cli::{Format, Get, Select, ServerArgs, SortBy};
use crate::error::{Error, Status};
use crate::input::counters::{self, ReadCounters, SavedCounters};
use crate::input::live;
use crate::input::owners::{Owners, share_stdin};
use crate::output::server_list::{Printer, ServerEntry, Shown};
use crate::output::stream::Lines;

/// Prints virtual servers and their real servers while it reads them.
///
/// # Errors
///
/// The servers cannot be read, or the output cannot be written.
pub(super) fn run(args: &Get) -> Result<Status, Error> {
    if share_stdin(&args.named, args.live.as_deref()) {
        return Err(Error::StandardInputTwice);
    }
    let mut reader: Box<dyn ReadCounters> = match &args.live {
        Some(path) => Box::new(SavedCounters(live::saved(path)?.tables)),
        None => Box::new(counters::of_kernel()?),
    };
    let ServerArgs {
        stats,
        rate,
        watch,
        sort_by,
    } = args.servers;
    let needs_counters = stats || rate || !matches!(sort_by, SortBy::Address | SortBy::Name);
    if needs_counters && !reader.counts() {
        return Err(Error::NoCounters);
    }
    let mut owners = Owners::read(&args.named, args.live.is_some());
    owners.check(&args.select)?;
    loop {
        let list = List {
            owners: &owners,
            select: &args.select,
            order: sort_by,
            format: args.output,
            shown: Shown {
                wide: false,
                counts: reader.counts(),
                stats,
                rate,
            },
        };
        let mut lines = Lines::stdout();
        if watch.is_some() && std::io::stdout().is_terminal() {
            lines.clear_screen()?;
        }
        list.print(reader.as_mut(), &mut lines)?;
        match watch {
            Some(pause) => {
                thread::sleep(pause);
                owners.refresh();
            }
            None => return Ok(Status::Done),
        }
    }
}

/// A list of servers as the arguments describe it.
struct List<'a> {
    owners: &'a Owners,
    select: &'a Select,
    order: SortBy,
    format: Format,
    shown: Shown,
}

impl List<'_> {
    /// Reads and prints the servers.
    fn print(&self, reader: &mut dyn ReadCounters, lines: &mut Lines<'_>) -> Result<(), Error> {
        let mut servers = reader.virtual_servers()?;
        let has_servers = !servers.is_empty();
        servers.retain(|(server, _)| self.owners.selects(self.select, &server.key));
        self.sort(&mut servers);
        let mut printer = Printer::begin(lines, self.format, self.shown)?;
        for (server, _) in &servers {
            printer.fit(server, self.owners.get(&server.key));
        }
        let entries = servers.into_iter().map(|(server, statistics)| {
            let real_servers = sorted(reader.real_servers(&server.key)?, self.order);
            Ok(ServerEntry {
                server,
                statistics,
                real_servers,
            })
        });
        let mut print =
            |entry: &ServerEntry| printer.entry(entry, self.owners.get(&entry.server.key));
        if matches!(self.order, SortBy::Active | SortBy::Inactive) {
            let mut entries = entries.collect::<Result<Vec<ServerEntry>, Error>>()?;
            entries.sort_by_key(|entry| {
                let sum: u64 = (entry.real_servers.iter())
                    .map(|real| number(real, self.order))
                    .sum();
                Reverse(sum)
            });
            entries.iter().try_for_each(&mut print)?;
        } else {
            for entry in entries {
                print(&entry?)?;
            }
        }
        printer.end(match has_servers {
            true => "No virtual server is selected.",
            false => "No virtual servers.",
        })
    }

    /// Sorts by the properties of virtual servers; equal ones by key.
    fn sort(&self, servers: &mut [(VirtualServer, Statistics)]) {
        servers.sort_by_key(|(server, _)| server.key);
        match self.order {
            // Real servers have to be read first.
            SortBy::Address | SortBy::Active | SortBy::Inactive => {}
            SortBy::Name => servers.sort_by_cached_key(|(server, _)| {
                let owner = self.owners.get(&server.key);
                (owner.is_none(), owner.cloned())
            }),
            order => servers.sort_by_key(|(_, counters)| Reverse(counter(counters, order))),
        }
    }
}

/// Returns the real servers in the given order; equal ones by key.
fn sorted(mut real_servers: Vec<RealServerStatus>, order: SortBy) -> Vec<RealServerStatus> {
    real_servers.sort_by_key(|real| (Reverse(number(real, order)), real.server.key));
    real_servers
}

/// Returns the number by which a real server is sorted; 0 in orders without numbers.
fn number(real: &RealServerStatus, order: SortBy) -> u64 {
    match order {
        SortBy::Active => u64::from(real.connections.active),
        SortBy::Inactive => u64::from(real.connections.inactive),
        order => counter(&real.statistics, order),
    }
}

fn counter(counters: &Statistics, order: SortBy) -> u64 {
    match order {
        SortBy::Address | SortBy::Name | SortBy::Active | SortBy::Inactive => 0,
        SortBy::Connections => counters.connections,
        SortBy::Cps => counters.connection_rate,
        SortBy::Packets => counters.packets_in.saturating_add(counters.packets_out),
        SortBy::Bytes => counters.bytes_in.saturating_add(counters.bytes_out),
    }
}
