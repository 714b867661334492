use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};

use ipvs::text::{Line, parse_line};
use ipvs::{Connections, VirtualServerKey};
use kernel::MemoryKernel;
use model::{NodeTables, Scope, Selection};

use super::*;

/// Virtual servers with counters.
struct Counted {
    servers: Vec<(VirtualServer, Statistics)>,
    reals: BTreeMap<VirtualServerKey, Vec<RealServerStatus>>,
}

impl ReadCounters for Counted {
    fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, Error> {
        Ok(self.servers.clone())
    }

    fn real_servers(&mut self, key: &VirtualServerKey) -> Result<Vec<RealServerStatus>, Error> {
        Ok(self.reals.get(key).cloned().unwrap_or_default())
    }
}

/// `count` virtual servers with one real server each. The later ones have more active connections
/// and fewer counted ones.
fn kernel(count: u8) -> Counted {
    let mut kernel = Counted {
        servers: Vec::new(),
        reals: BTreeMap::new(),
    };
    for number in 1..=count {
        let statistics = Statistics {
            connections: u64::from(100 - number),
            ..Statistics::default()
        };
        let line = |text: &str| parse_line(text).expect("a line");
        let Line::VirtualServer(server) = line(&format!("-A -t 10.96.0.{number}:80 -s rr")) else {
            unreachable!()
        };
        let real = format!("-a -t 10.96.0.{number}:80 -r 10.1.0.{number}:80 -m -w 1");
        let Line::RealServer(key, real) = line(&real) else {
            unreachable!()
        };
        let status = RealServerStatus {
            server: real,
            connections: Connections {
                active: number.into(),
                ..Connections::default()
            },
            statistics,
        };
        kernel.servers.push((server, statistics));
        kernel.reals.insert(key, vec![status]);
    }
    kernel
}

fn list<'a>(owners: &'a Owners, select: &'a Select, order: SortBy) -> List<'a> {
    List {
        owners,
        select,
        order,
        format: Format::Table,
        shown: Shown {
            counts: true,
            ..Shown::default()
        },
    }
}

/// Returns the first word of each line but the first.
fn order(order: SortBy) -> Vec<String> {
    let (owners, select) = (Owners::default(), Select::default());
    let mut out = Vec::new();
    list(&owners, &select, order)
        .print(&mut kernel(3), &mut Lines::new(&mut out))
        .expect("a list");
    let text = String::from_utf8(out).expect("text");
    let first = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    text.lines().skip(1).map(first).collect()
}

#[test]
fn orders() {
    let up = ["10.96.0.1", "10.96.0.2", "10.96.0.3"];
    let down = ["10.96.0.3", "10.96.0.2", "10.96.0.1"];
    assert_eq!(order(SortBy::Address), up);
    assert_eq!(order(SortBy::Name), up);
    assert_eq!(order(SortBy::Connections), up);
    assert_eq!(order(SortBy::Active), down);
    assert_eq!(order(SortBy::Bytes), up);
}

/// Number of virtual servers of a large table. Each has ten real servers.
const MANY: usize = 10_000;

/// A kernel with a large table, and the number of lists of real servers that were read.
struct Large<'a> {
    kernel: MemoryKernel,
    lists: &'a Cell<usize>,
}

impl<'a> Large<'a> {
    fn new(tables: &NodeTables, lists: &'a Cell<usize>) -> Self {
        lists.set(0);
        Self {
            kernel: MemoryKernel::with_tables(tables),
            lists,
        }
    }

    fn look(&self, virtual_servers: Selection) -> SavedCounters {
        let scope = Scope {
            virtual_servers,
            ..Scope::NOTHING
        };
        SavedCounters(self.kernel.look(&scope).tables)
    }
}

impl ReadCounters for Large<'_> {
    fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, Error> {
        self.look(Selection::WithoutRealServers).virtual_servers()
    }

    fn real_servers(&mut self, key: &VirtualServerKey) -> Result<Vec<RealServerStatus>, Error> {
        self.lists.set(self.lists.get() + 1);
        self.look(Selection::Only([*key].into())).real_servers(key)
    }
}

fn large_table() -> NodeTables {
    let lines = |number: usize| {
        let at = format!("10.{}.{}.1:80", 96 + number / 250, number % 250);
        let real = |last| format!("-a -t {at} -r 10.1.0.{last}:80 -m -w 1\n");
        let reals: String = (1..=10).map(real).collect();
        format!("-A -t {at} -s rr\n{reals}")
    };
    let text: String = (0..MANY).map(lines).collect();
    model::text::parse(&text).expect("tables")
}

/// An output that notes how many lists were read before its first bytes.
struct Output<'a> {
    lists: &'a Cell<usize>,
    first: &'a Cell<Option<usize>>,
    /// False if the reader is gone.
    is_open: bool,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let first = self.first.get().or(Some(self.lists.get()));
        self.first.set(first);
        match self.is_open {
            true => Ok(bytes.len()),
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints a large table. Returns the numbers of lists that were read before the first line and at
/// the end.
fn print_large(tables: &NodeTables, order: SortBy, format: Format, is_open: bool) -> [usize; 2] {
    let (lists, first) = (Cell::new(0), Cell::new(None));
    let (owners, select) = (Owners::default(), Select::default());
    let list = List {
        format,
        ..list(&owners, &select, order)
    };
    let out = Output {
        lists: &lists,
        first: &first,
        is_open,
    };
    let mut kernel = Large::new(tables, &lists);
    let printed = list.print(&mut kernel, &mut Lines::new(out));
    match is_open {
        true => printed.expect("a list"),
        false => assert!(matches!(printed, Err(Error::Output(_)))),
    }
    [first.get().expect("an output"), lists.get()]
}

#[test]
fn the_first_line_comes_before_a_hundredth_of_the_real_servers_is_read() {
    let tables = large_table();
    for format in [
        Format::Table,
        Format::Wide,
        Format::Text,
        Format::Json,
        Format::Yaml,
    ] {
        let [first, all] = print_large(&tables, SortBy::Address, format, false);
        assert!(first <= MANY / 100, "{format:?}: {first} lists");
        // Nothing is read for an output that is gone.
        assert_eq!(all, first, "{format:?}");
    }
    let [first, all] = print_large(&tables, SortBy::Address, Format::Table, true);
    assert!(first <= MANY / 100, "{first} lists");
    assert_eq!(all, MANY);
}

#[test]
fn orders_by_numbers_of_real_servers_read_everything_first() {
    let lists = print_large(&large_table(), SortBy::Active, Format::Table, false);
    assert_eq!(lists, [MANY; 2]);
}
