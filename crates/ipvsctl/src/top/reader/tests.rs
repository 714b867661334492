use super::*;
use crate::input::counters::SavedCounters;

#[test]
fn readings_use_at_most_a_fifth_of_the_time() {
    let pause = |interval, took| {
        super::pause(Duration::from_millis(interval), Duration::from_millis(took)).as_millis()
    };
    assert_eq!(pause(2000, 0), 2000);
    assert_eq!(pause(2000, 300), 1700);
    assert_eq!(pause(2000, 1000), 4000);
    assert_eq!(pause(2000, 5000), 20_000);
}

fn reader(interrupt: &Interrupt) -> Reader {
    let tables = "-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.1.2.3:80 -m -w 0\n";
    let tables = model::text::parse(tables).expect("tables");
    Reader::new(
        Box::new(SavedCounters(tables)),
        Owners::default(),
        Select::default(),
        interrupt.clone(),
    )
}

#[test]
fn the_second_reading_has_rates() {
    let mut reader = reader(&Interrupt::default());
    let mut read = || reader.read().expect("a reading").expect("traffic").traffic;
    assert!(!read().has_rates);
    let second = read();
    assert!(second.has_rates);
    assert_eq!(second.services[0].name, "10.96.0.10:80/TCP");
    assert_eq!((second.total.endpoints, second.total.draining), (1, 1));
}

#[test]
fn an_interrupt_ends_a_reading() {
    let interrupt = Interrupt::default();
    let mut reader = reader(&interrupt);
    interrupt.set();
    assert!(reader.read().expect("no error").is_none());
}

#[test]
fn a_daemon_that_does_not_answer_is_named() {
    let line = daemon_line(([127, 0, 0, 1], 1).into());
    assert!(line.starts_with("kube-ipvsd at 127.0.0.1:1: "), "{line}");
}
