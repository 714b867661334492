//! Tests of many requests in one send.

use ipvs::client::{ErrorKind, Request};

use crate::namespace::{add, attempts, in_namespace, real, requests, server, table_text, text};

#[test]
fn failed_request_does_not_stop_others() {
    in_namespace(|client| {
        add(client, "-A -t 10.0.0.2:80 -s rr");
        let batch = requests(
            "-A -t 10.0.0.1:80 -s rr\n-A -t 10.0.0.2:80 -s rr\n-A -t 10.0.0.3:80 -s rr\n\
             -a -t 10.0.0.9:80 -r 10.1.0.1:80 -m -w 1\n-A -t 10.0.0.4:80 -s nonsense\n\
             -A -t 10.0.0.5:80 -s rr",
        );
        let outcomes = [
            None,
            Some(ErrorKind::AlreadyExists),
            None,
            Some(ErrorKind::NoSuchService),
            Some(ErrorKind::UnknownScheduler),
            None,
        ];
        assert_eq!(attempts(client, &batch), outcomes);
        let lines = [1, 2, 3, 5].map(|last| format!("-A -t 10.0.0.{last}:80 -s rr"));
        assert_eq!(text(client), lines);
    });
}

#[test]
fn a_thousand_failures_have_a_thousand_outcomes() {
    in_namespace(|client| {
        add(client, "-A -t 10.0.0.1:80 -s rr");
        let (key, template) = real("-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1");
        let batch: Vec<Request> = (0..1_000)
            .map(|number| match number % 3 {
                0 => Request::NewService(server("-A -t 10.0.0.1:80 -s rr")),
                1 => Request::DelDest(key, template.key),
                _ => Request::SetService(server("-A -t 10.0.0.2:80 -s rr")),
            })
            .collect();
        let expected: Vec<Option<ErrorKind>> = (0..1_000)
            .map(|number| {
                Some(match number % 3 {
                    0 => ErrorKind::AlreadyExists,
                    1 => ErrorKind::NoSuchDestination,
                    _ => ErrorKind::NoSuchService,
                })
            })
            .collect();
        assert_eq!(attempts(client, &batch), expected);
    });
}

#[test]
fn empty_batch_has_no_outcomes() {
    in_namespace(|client| {
        assert!(client.execute(&[]).is_empty());
        assert!(text(client).is_empty());
    });
}

#[test]
fn a_thousand_virtual_servers_with_ten_real_servers_each() {
    in_namespace(|client| {
        let batch = requests(&table_text(1_000, 10));
        let start = std::time::Instant::now();
        add(client, &table_text(1_000, 10));
        let seconds = start.elapsed().as_secs_f64();
        println!("{} requests in {seconds:.3} s", batch.len());
        let mut lines: Vec<String> = table_text(1_000, 10).lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(text(client), lines);
        assert_eq!(
            attempts(client, &batch),
            vec![Some(ErrorKind::AlreadyExists); batch.len()]
        );
    });
}
