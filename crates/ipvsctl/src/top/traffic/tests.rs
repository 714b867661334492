use super::super::testing::{key, sample, traffic};

#[test]
fn rates_are_differences_over_time() {
    let (before, now) = (sample(10, &[(1, 100)]), sample(14, &[(1, 120)]));
    let node = traffic(Some(&before), &now);
    let total = &node.total;
    assert_eq!(total.connection_rate, 5.0);
    assert_eq!((total.packet_rate_in, total.packet_rate_out), (50.0, 40.0));
    assert_eq!((total.byte_rate_in, total.byte_rate_out), (5120.0, 20480.0));
    assert_eq!(total.connections, 120);
    assert!(node.has_rates);
}

#[test]
fn numbers_of_connections_are_sums_of_real_servers() {
    let node = traffic(None, &sample(0, &[(1, 0), (2, 0)]));
    let total = &node.total;
    assert_eq!((total.active, total.inactive), (18, 4));
    assert_eq!((total.endpoints, total.draining), (4, 2));
}

#[test]
fn one_sample_has_no_rates() {
    let node = traffic(None, &sample(0, &[(1, 100)]));
    assert!(!node.has_rates);
    assert_eq!(node.total.connection_rate, 0.0);
    assert_eq!(node.total.connections, 100);
}

#[test]
fn a_counter_that_fell_began_again() {
    let (before, now) = (sample(0, &[(1, 100)]), sample(2, &[(1, 10)]));
    assert_eq!(traffic(Some(&before), &now).total.connection_rate, 5.0);
}

#[test]
fn a_new_virtual_server_has_no_rates_yet() {
    let (before, now) = (sample(0, &[(1, 4)]), sample(2, &[(1, 8), (2, 100)]));
    assert_eq!(traffic(Some(&before), &now).total.connection_rate, 2.0);
}

#[test]
fn samples_of_one_moment_have_no_rates() {
    let (before, now) = (sample(2, &[(1, 4)]), sample(2, &[(1, 8)]));
    assert_eq!(traffic(Some(&before), &now).total.connection_rate, 0.0);
}

#[test]
fn virtual_servers_without_a_service_come_last_and_have_their_key_as_name() {
    let node = traffic(None, &sample(0, &[(9, 1), (2, 1), (1, 1)]));
    let names: Vec<&str> = (node.services.iter())
        .map(|service| service.name.as_str())
        .collect();
    assert_eq!(names, ["shop/web1", "shop/web2", "10.96.0.9:80/TCP"]);
    let last = &node.services[2];
    assert!(!last.is_service);
    assert_eq!(last.servers[0].key, key(9));
    assert_eq!(node.services[0].servers[0].port, "http");
}
