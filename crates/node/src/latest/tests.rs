use std::thread;

use super::*;

#[test]
fn the_latest_value_is_taken_once() {
    let (sender, receiver) = channel();
    sender.send(1);
    sender.send(2);
    assert_eq!(receiver.take(), Some(2));
    assert!(receiver.pause(Duration::ZERO));
    drop(sender);
    assert_eq!(receiver.take(), None);
    receiver.rest(Duration::from_secs(3600));
}

#[test]
fn put_back_does_not_replace_a_newer_value() {
    let (sender, receiver) = channel();
    receiver.put_back(1);
    assert_eq!(receiver.take(), Some(1));
    sender.send(2);
    receiver.put_back(1);
    assert!(!receiver.pause(Duration::from_secs(3600)));
    assert_eq!(receiver.latest(), Some(2));
    assert_eq!(receiver.latest(), Some(2));
}

#[test]
fn a_value_and_the_end_wake_the_receiver() {
    let (sender, receiver) = channel();
    let waiting = thread::spawn(move || (receiver.take(), receiver.take()));
    sender.send(1);
    while sender.0.state().value.is_some() {
        thread::yield_now();
    }
    drop(sender);
    assert_eq!(waiting.join().expect("a result"), (Some(1), None));
}
