use ipvs::text::{Line, parse_line};
use kernel::MemoryKernel;
use kernel::memory::TornReading;
use model::kernel::OpOutcome;
use model::{Op, Stage};

use super::*;

/// A kernel that counts the virtual servers that are read with their real servers.
struct Counting {
    kernel: MemoryKernel,
    read: usize,
}

impl Kernel for Counting {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        let snapshot = self.kernel.observe(scope)?;
        if scope.virtual_servers != Selection::WithoutRealServers {
            self.read += snapshot.tables.virtual_servers.len();
        }
        Ok(snapshot)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        self.kernel.apply(stage)
    }
}

fn line(text: &str) -> Line {
    parse_line(text).expect("a line")
}

/// Returns the address of a virtual server, in the order of their keys.
fn address(number: usize) -> String {
    format!("10.96.{}.{}:80", number / 250, number % 250)
}

fn key(number: usize) -> VirtualServerKey {
    match line(&format!("-A -t {} -s rr", address(number))) {
        Line::VirtualServer(server) => server.key,
        Line::RealServer(key, _) => key,
    }
}

/// Returns a kernel with virtual servers that have a real server each, and its tables.
fn node(count: usize) -> (Counting, Tables) {
    let lines = |number| {
        let at = address(number);
        format!("-A -t {at} -s rr\n-a -t {at} -r 10.1.0.1:80 -m -w 1\n")
    };
    let text: String = (0..count).map(lines).collect();
    let tables = model::text::parse(&text).expect("tables");
    let mut kernel = Counting {
        kernel: MemoryKernel::with_tables(&tables),
        read: 0,
    };
    let all = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    (kernel, Tables::new(all))
}

impl Counting {
    /// Makes a change, as another program would.
    fn change(&self, op: &Op) {
        self.kernel.foreign(op).expect("a change");
    }

    fn set_weight(&self, number: usize, weight: usize) {
        let text = format!("-a -t {} -r 10.1.0.1:80 -m -w {weight}", address(number));
        match line(&text) {
            Line::RealServer(key, real) => self.change(&Op::SetRealServer(key, real)),
            Line::VirtualServer(_) => panic!("{text}"),
        }
    }

    fn add(&self, text: &str) {
        self.change(&match line(text) {
            Line::VirtualServer(server) => Op::AddVirtualServer(server),
            Line::RealServer(key, real) => Op::AddRealServer(key, real),
        });
    }
}

/// Returns the lines of a reading; `None` if it is not complete.
fn read(tables: &mut Tables, kernel: &mut Counting) -> Option<Vec<String>> {
    let changes = tables.read(kernel).expect("a reading")?;
    Some(changes.into_iter().map(|change| change.line).collect())
}

/// Number of virtual servers of a table with three slices.
const LARGE: usize = 2 * SLICE + 10;

/// A virtual server of the last slice.
const LAST: usize = LARGE - 1;

#[test]
fn a_small_table_is_read_completely() {
    let (mut kernel, mut tables) = node(SLICE);
    kernel.set_weight(SLICE - 1, 5);
    let changes = read(&mut tables, &mut kernel).expect("complete");
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].ends_with("-w 5"), "{changes:?}");
    assert_eq!(read(&mut tables, &mut kernel), Some(Vec::new()));
}

#[test]
fn real_servers_of_a_large_table_are_read_in_slices() {
    let (mut kernel, mut tables) = node(LARGE);
    let slices = [(1, 7), (2, SLICE + 7), (3, LAST), (1, SLICE - 1)];
    for (round, (slice, number)) in slices.into_iter().enumerate() {
        kernel.set_weight(number, round + 5);
        for reading in 1..=3 {
            kernel.read = 0;
            let changes = read(&mut tables, &mut kernel).expect("complete");
            assert!(kernel.read <= SLICE, "{} lists", kernel.read);
            let expected = usize::from(reading == slice);
            assert_eq!(changes.len(), expected, "{number}, reading {reading}");
        }
    }
}

#[test]
fn everything_else_of_a_large_table_is_read_at_once() {
    let (mut kernel, mut tables) = node(LARGE);
    let server = "-A -t 10.97.0.1:80 -s wrr";
    let real = "-a -t 10.97.0.1:80 -r 10.1.0.9:80 -m -w 1";
    kernel.add(server);
    kernel.add(real);
    kernel.change(&Op::EnsureDevice);
    kernel.change(&Op::AddAddress([10, 97, 0, 1].into()));
    let added = ["device kube-ipvs0", "10.97.0.1/32", server, real].map(str::to_owned);
    assert_eq!(read(&mut tables, &mut kernel), Some(added.into()));
    kernel.change(&Op::DelVirtualServer(key(LAST)));
    let deleted = format!("-D -t {}", address(LAST));
    assert_eq!(read(&mut tables, &mut kernel), Some(vec![deleted]));
}

#[test]
fn hints_are_read_next() {
    let (mut kernel, mut tables) = node(LARGE);
    kernel.set_weight(LAST, 5);
    tables.hint(key(LAST));
    // A virtual server that does not exist.
    tables.hint(key(LARGE));
    // A reading that fails keeps the hints.
    kernel.kernel.fail_observations(1);
    assert!(tables.read(&mut kernel).is_err());
    let changes = read(&mut tables, &mut kernel).expect("complete");
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[test]
fn a_torn_reading_has_no_changes() {
    for count in [10, LARGE] {
        let (mut kernel, mut tables) = node(count);
        kernel.kernel.tear(TornReading {
            virtual_servers: [key(3)].into(),
            flagged: true,
            ..TornReading::default()
        });
        kernel.set_weight(5, 5);
        assert_eq!(read(&mut tables, &mut kernel), None, "{count}");
        let changes = read(&mut tables, &mut kernel).expect("complete");
        assert_eq!(changes.len(), 1, "{changes:?}");
    }
}
