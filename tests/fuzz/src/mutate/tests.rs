use std::collections::BTreeSet;

use super::*;

fn corpus() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        b"a".to_vec(),
        b"-A -t 10.0.0.1:80 -s rr\n-A -f 7\n".to_vec(),
    ]
}

#[test]
fn equal_seeds_give_equal_inputs() {
    let input = |seed, number| mutated(&corpus(), true, &mut Random::new(seed, number));
    for number in 0..100 {
        assert_eq!(input(1, number), input(1, number));
    }
    assert!((0..100).any(|number| input(1, number) != input(2, number)));
}

#[test]
fn inputs_differ_and_are_bounded() {
    let corpus = [corpus(), vec![vec![7; MAX_LENGTH]]].concat();
    let inputs: BTreeSet<Vec<u8>> = (0..1_000)
        .map(|number| mutated(&corpus, number % 2 == 0, &mut Random::new(1, number)))
        .collect();
    assert!(inputs.len() > 500, "{}", inputs.len());
    assert!(inputs.iter().all(|input| input.len() <= MAX_LENGTH));
    assert!(inputs.iter().any(|input| input.len() > 64));
}
