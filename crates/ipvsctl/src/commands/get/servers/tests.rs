use std::collections::BTreeMap;

use ipvs::text::{Line, parse_line};
use ipvs::{Connections, VirtualServerKey};

use super::*;

/// A kernel whose lists fail after a number of them.
struct Counted {
    servers: Vec<(VirtualServer, Statistics)>,
    reals: BTreeMap<VirtualServerKey, Vec<RealServerStatus>>,
    lists: usize,
}

impl ReadCounters for Counted {
    fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, Error> {
        Ok(self.servers.clone())
    }

    fn real_servers(&mut self, key: &VirtualServerKey) -> Result<Vec<RealServerStatus>, Error> {
        self.lists += 1;
        Ok(self.reals.get(key).cloned().unwrap_or_default())
    }
}

/// `count` virtual servers with one real server each. The later ones have more active connections
/// and fewer counted ones.
fn kernel(count: u8) -> Counted {
    let mut kernel = Counted {
        servers: Vec::new(),
        reals: BTreeMap::new(),
        lists: 0,
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

/// A writer whose reader goes away at once.
struct Closed;

impl std::io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_reading() {
    let mut kernel = kernel(90);
    let many: Vec<_> = kernel
        .servers
        .iter()
        .cycle()
        .take(10_000)
        .cloned()
        .collect();
    kernel.servers = many;
    let (owners, select) = (Owners::default(), Select::default());
    let printed =
        list(&owners, &select, SortBy::Address).print(&mut kernel, &mut Lines::new(Closed));
    assert!(matches!(printed, Err(Error::Output(_))));
    assert!(kernel.lists < 1000, "{} lists were read", kernel.lists);
}
