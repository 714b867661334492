use super::*;

#[test]
fn lines_are_grouped_by_operation_size_and_program() {
    let output = r#"
something else
bench: {"operation":"read","size":"10x2","who":"a","seconds":2.0}
bench: {"operation":"read","size":"10x2","who":"b","seconds":8.0}
bench: {"operation":"read","size":"10x2","who":"a","seconds":1.0}
bench: {"operation":"read","size":"10x2","figure":"messages","value":3,"unit":"each"}
"#;
    let measured = Measured::read(output).expect("it is well-formed");
    let [case] = measured.cases.as_slice() else {
        panic!("one case, not {:?}", measured.cases);
    };
    let ours = &measured.times[&(case.clone(), "a".to_owned())];
    assert_eq!(*ours, [2.0, 1.0]);
    let others: Vec<_> = measured.others(case, "a").collect();
    assert_eq!(others, [("b", [8.0].as_slice())]);
    let figure = &measured.figures[case]["messages"];
    assert_eq!(*figure, (vec![3.0], "each".to_owned()));
}

#[test]
fn truncated_line_is_an_error() {
    let error = Measured::read("bench: {\"operation\":").expect_err("it is cut");
    assert!(error.to_string().contains("operation"), "{error}");
}

#[test]
fn spread_of_values() {
    assert_eq!(Spread::of([]), None);
    let spread = Spread::of((1..=200).rev().map(f64::from)).expect("there are some");
    assert_eq!((spread.min, spread.median, spread.max), (1.0, 101.0, 200.0));
    assert_eq!((spread.p99, spread.count), (199.0, 200));
}
