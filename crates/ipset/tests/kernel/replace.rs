//! Tests of replacing sets.

use ipset::SetName;
use ipset::client::{Client, ErrorKind, Request};
use support::program::run;

use crate::namespace::{attempts, do_all, in_namespace, kernel, make, name, one};

const OLD: &str = "create A hash:ip,port family inet maxelem 10\nadd A 10.0.0.1,tcp:80\n";
const NEW: &str = "create A hash:ip,port family inet maxelem 20\nadd A 10.0.0.2,tcp:80\n\
                   add A 10.0.0.3,tcp:80\n";
const OTHER_TYPE: &str = "create A hash:ip family inet maxelem 20\nadd A 10.0.0.2\n";
const RULE: &str = "-A INPUT -m set --match-set A dst,dst -j ACCEPT";

fn replace(lines: &str) -> Request {
    let (name, set) = one(lines);
    Request::Replace(name, set)
}

/// Checks that the set of the lines `after` replaces that of `before`, and that no other set
/// remains.
fn check(client: &mut Client, before: &str, after: &str) {
    make(client, before);
    do_all(client, &[replace(after)]);
    assert_eq!(kernel(client), after);
}

fn rules() -> String {
    run("iptables-save", "-t filter", "")
}

fn under_a_rule<R: Send>(test: impl FnOnce(&mut Client) -> R + Send) -> R {
    in_namespace(|client| {
        make(client, OLD);
        run("iptables", RULE, "");
        let result = test(client);
        assert!(rules().contains(RULE));
        result
    })
}

#[test]
fn a_missing_set() {
    in_namespace(|client| check(client, "", NEW));
}

#[test]
fn a_set_of_another_size() {
    in_namespace(|client| check(client, OLD, NEW));
}

#[test]
fn a_set_of_another_type() {
    in_namespace(|client| check(client, OLD, OTHER_TYPE));
}

#[test]
fn an_unsupported_set() {
    in_namespace(|client| {
        run("ipset", "create A hash:ip,port timeout 7", "");
        run("ipset", "add A 10.0.0.1,80", "");
        do_all(client, &[replace(NEW)]);
        assert_eq!(kernel(client), NEW);
    });
}

#[test]
fn a_set_that_a_rule_uses() {
    under_a_rule(|client| {
        do_all(client, &[replace(NEW)]);
        assert_eq!(kernel(client), NEW);
        // The rule uses the new set, so that it is the new one that is in use.
        let destroy = [Request::Destroy(name("A"))];
        assert_eq!(attempts(client, &destroy), [Some(ErrorKind::InUse)]);
    });
}

#[test]
fn used_set_of_another_type_stays() {
    under_a_rule(|client| {
        let outcome = client.execute(&[replace(OTHER_TYPE)]).remove(0);
        assert_eq!(outcome.expect_err("in use").kind(), ErrorKind::InUse);
        assert_eq!(kernel(client), OLD);
    });
}

#[test]
fn unfit_entry_keeps_the_old_set() {
    under_a_rule(|client| {
        let (name, mut set) = one(NEW);
        set.entries.extend(
            one("create A hash:ip,port family inet6\nadd A fd00::1,tcp:80")
                .1
                .entries,
        );
        let outcome = client.execute(&[Request::Replace(name, set)]).remove(0);
        let error = outcome.expect_err("an entry does not fit");
        assert_eq!(error.kind(), ErrorKind::Unfit);
        assert!(error.to_string().contains("fd00::1,tcp:80"), "{error}");
        assert_eq!(kernel(client), OLD);
    });
}

#[test]
fn overfull_set_keeps_the_old_set() {
    in_namespace(|client| {
        make(client, OLD);
        let full = NEW.replace("maxelem 20", "maxelem 1");
        let outcome = client.execute(&[replace(&full)]).remove(0);
        assert_eq!(outcome.expect_err("full").kind(), ErrorKind::Full);
        assert_eq!(kernel(client), OLD);
    });
}

/// Destroys the temporary sets of a process that was killed between filling and swapping.
#[test]
fn leftovers_are_destroyed() {
    const LONG: &str = "a-name-of-thirty-one-bytes-long";
    in_namespace(|client| {
        let left = format!(
            "create ~A hash:ip\nadd ~A 10.0.0.1\ncreate ~{} bitmap:port range 0-9\ncreate ~B hash:ip\n",
            &LONG[..30]
        );
        make(client, &left);
        let names: [SetName; 3] = ["A", LONG, "none"].map(name);
        assert!(client.destroy_leftovers(&names).is_empty());
        assert_eq!(client.names().expect("read"), [name("~B")].into());
        make(client, &left.replace("~B", "~C"));
        // A leftover of another type and with other entries does not disturb the next replacement.
        do_all(client, &[replace(NEW)]);
        let (_, set) = one(NEW);
        assert_eq!(client.set(&name("A")).expect("read"), Some(set));
        assert!(!client.names().expect("read").contains(&name("~A")));
    });
}

#[test]
fn a_leftover_that_cannot_be_destroyed() {
    in_namespace(|client| {
        make(client, "create ~A hash:ip");
        run(
            "iptables",
            "-A INPUT -m set --match-set ~A dst -j ACCEPT",
            "",
        );
        let errors = client.destroy_leftovers(&[name("A")]);
        assert_eq!(errors[0].kind(), ErrorKind::InUse);
        assert_eq!(errors[0].to_string(), "failed to destroy set ~A");
    });
}

/// Rules match all old entries or all new ones, whatever their number.
#[test]
fn many_entries_are_replaced_atomically() {
    under_a_rule(|client| {
        let mut lines = "create A hash:ip,port family inet maxelem 65536\n".to_owned();
        for number in 0..10_000_u16 {
            let [high, low] = number.to_be_bytes();
            lines += &format!("add A 10.1.{high}.{low},tcp:80\n");
        }
        do_all(client, &[replace(&lines)]);
        let (_, set) = one(&lines);
        assert_eq!(client.set(&name("A")).expect("read"), Some(set));
    });
}
