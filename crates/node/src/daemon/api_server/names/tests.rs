use std::future::ready;
use std::sync::Mutex;

use sources::NodeOverrides;

use super::*;

fn host(url: &str) -> ServerHost {
    ServerHost::of_url(url).expect("a host")
}

fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
    let parse = |text: &&str| text.parse().expect("a socket");
    texts.iter().map(parse).collect()
}

/// An answer of the resolver; `None` stands for a failure.
type Answer = Option<&'static [&'static str]>;

fn answer(given: Answer) -> Result<Vec<SocketAddr>, String> {
    given.map(sockets).ok_or_else(|| "no answer".to_owned())
}

/// Handles `answers`, each after a delay, and checks the protected addresses at the end.
#[track_caller]
fn check(answers: &[(Duration, Answer)], expected: &[&str]) {
    let mut name = Name {
        host: host("https://api.example:6443"),
        known: BTreeMap::new(),
        failed: false,
    };
    let mut now = Instant::now();
    for (later, given) in answers {
        now += *later;
        name.take(answer(*given), now);
    }
    let names = Names(vec![name]);
    assert_eq!(names.addresses(), sockets(expected).into_iter().collect());
}

const MINUTE: Duration = Duration::from_secs(60);
const OLD: Answer = Some(&["192.0.2.1:6443"]);
const NEW: Answer = Some(&["192.0.2.2:6443"]);
const BOTH: &[&str] = &["192.0.2.1:6443", "192.0.2.2:6443"];

#[test]
fn removed_addresses_stay_protected_for_a_while() {
    check(&[(MINUTE, OLD), (MINUTE, NEW)], BOTH);
    check(
        &[(MINUTE, OLD), (MINUTE, NEW), (KEPT, NEW)],
        &["192.0.2.2:6443"],
    );
    // The resolver alternates.
    let mut answers = vec![(MINUTE, OLD), (MINUTE, NEW)];
    answers.extend([(KEPT / 2, OLD), (KEPT / 2, NEW), (KEPT / 2, OLD)]);
    check(&answers, BOTH);
}

#[test]
fn a_failure_changes_nothing() {
    check(&[(MINUTE, None)], &[]);
    check(&[(MINUTE, None), (MINUTE, OLD)], &["192.0.2.1:6443"]);
    for failure in [None, Some([].as_slice())] {
        check(
            &[(MINUTE, OLD), (KEPT, failure), (KEPT, failure)],
            &["192.0.2.1:6443"],
        );
        check(
            &[(MINUTE, OLD), (KEPT, failure), (MINUTE, NEW)],
            &["192.0.2.2:6443"],
        );
    }
}

fn configuration() -> Resolved {
    sources::config::load(None, &NodeOverrides::default(), "host").expect("the defaults")
}

/// Follows `url` while the resolver returns `answers`, and then the last one for ever. Returns the
/// addresses in the configuration at the start and after each of `changes` changes.
async fn follow(
    url: &str,
    answers: &'static [Answer],
    changes: usize,
) -> Vec<BTreeSet<SocketAddr>> {
    let given = Arc::new(Mutex::new(answers.iter()));
    let resolve = move |_| {
        let mut given = given.lock().expect("no panic");
        let next = given.next().or(answers.last());
        ready(answer(*next.expect("an answer")))
    };
    let names = Names::of(vec![host(url)], resolve.clone()).await;
    let mut config = configuration();
    config.node.api_server = names.addresses();
    let (sender, mut receiver) = watch::channel(Arc::new(config));
    let following = tokio::spawn(names.follow(sender, resolve));
    let mut found = vec![receiver.borrow().node.api_server.clone()];
    for _ in 0..changes {
        receiver.changed().await.expect("a change");
        found.push(receiver.borrow_and_update().node.api_server.clone());
    }
    drop(receiver);
    following.await.expect("no panic");
    found
}

fn set(texts: &[&str]) -> BTreeSet<SocketAddr> {
    sockets(texts).into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn changed_addresses_of_a_name_are_used() {
    let found = follow("https://api.example:6443", &[OLD, OLD, None, NEW], 2).await;
    let expected: [&[&str]; 3] = [&BOTH[..1], BOTH, &BOTH[1..]];
    assert_eq!(found, expected.map(set));
}

/// The node's resolver may start after the daemon.
#[tokio::test(start_paused = true)]
async fn names_that_do_not_resolve_at_the_start_are_protected_later() {
    let found = follow("https://api.example:6443", &[None, None, None, NEW], 1).await;
    assert_eq!(found, [set(&[]), set(&BOTH[1..])]);
}

#[tokio::test(start_paused = true)]
async fn literal_addresses_are_not_followed() {
    let found = follow("https://192.0.2.1:6443", &[OLD, NEW], 0).await;
    assert_eq!(found, [set(&BOTH[..1])]);
}

#[tokio::test]
async fn an_address_resolves_to_itself() {
    let found = resolve(host("https://[2001:db8::1]")).await;
    assert_eq!(found, Ok(sockets(&["[2001:db8::1]:443"])));
}
