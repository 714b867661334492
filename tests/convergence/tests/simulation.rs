//! Checks that the simulated node keeps every law. `cargo xtask simulate` runs more steps, or the
//! run of one seed.

use convergence::node::Rules;
use convergence::simulation::{Figures, run, steps_of};

/// Number of steps of all runs together.
const STEPS: u64 = 100_000;

#[test]
fn a_hundred_thousand_steps_break_no_law() {
    let mut figures = Figures::default();
    for seed in 1.. {
        let steps = steps_of(seed).min(STEPS - figures.steps);
        if steps == 0 {
            break;
        }
        match run(seed, steps, Rules::All) {
            Ok(run) => figures.add(run),
            Err(failure) => panic!("{failure}"),
        }
    }
    assert_eq!(figures.steps, STEPS);
    // A simulation without faults and changes would keep every law too.
    assert!(figures.faults > STEPS / 50, "{figures:?}");
    assert!(figures.ops > STEPS, "{figures:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let outcome = || match run(7, 200, Rules::All) {
        Ok(figures) => Ok(figures),
        Err(failure) => Err((failure.step, failure.violation.to_string())),
    };
    assert_eq!(outcome(), outcome());
}
