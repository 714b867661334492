use std::net::{IpAddr, Ipv4Addr};

use model::NodeConfig;
use reconciler::Event;

use super::{MOST_ADDRESSES, mailbox};

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a60_0000 + number).into()
}

#[test]
fn equal_events_are_merged() {
    let (events, mut inbox) = mailbox();
    for number in 0..1_000 {
        events.interfaces_changed();
        events.lost(false, [address(number % 2)]);
        let mut config = NodeConfig::new("node1");
        config.strict_arp = number % 2 == 1;
        events.configured(config);
    }
    let taken = inbox.try_take();
    let [
        Event::Configured(config),
        Event::NodeChanged,
        Event::Lost(lost),
    ] = &taken[..]
    else {
        panic!("{taken:?}");
    };
    assert!(config.strict_arp, "the last one holds");
    assert_eq!(lost.addresses, [address(0), address(1)].into());
    assert!(inbox.try_take().is_empty());
}

#[test]
fn many_lost_addresses_count_as_the_device() {
    let (events, mut inbox) = mailbox();
    let many = u32::try_from(MOST_ADDRESSES).expect("small") + 1;
    events.lost(false, (0..many).map(address));
    let taken = inbox.try_take();
    let [Event::Lost(lost)] = &taken[..] else {
        panic!("{taken:?}");
    };
    assert!(lost.device && lost.addresses.is_empty());
}

#[tokio::test]
async fn an_event_wakes_the_receiver() {
    let (events, mut inbox) = mailbox();
    let waiting = tokio::spawn(async move { inbox.recv().await.len() });
    tokio::task::yield_now().await;
    events.interfaces_changed();
    assert_eq!(waiting.await.expect("it ends"), 1);
}
