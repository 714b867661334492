//! Times every workload: `cargo bench -p workloads`.

use divan::Bencher;
use workloads::workload::{ALL, Workload};

fn main() {
    divan::main();
}

#[divan::bench(args = ALL, max_time = 5)]
fn pure(bencher: Bencher<'_, '_>, workload: &Workload) {
    match workload.prepare() {
        Ok(run) => bencher.bench_local(run),
        Err(error) => panic!("{workload}: {error}"),
    }
}
