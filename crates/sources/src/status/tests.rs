use std::time::{Duration, SystemTime};

use super::{SourceState, SourceStatus, SourceStatuses};
use crate::event::{ProblemKind, SourceProblem};

const SERVICES: &str = "services";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn problem(kind: ProblemKind, message: &str) -> SourceProblem {
    SourceProblem {
        subject: SERVICES.into(),
        kind,
        message: message.to_owned(),
        advice: None,
    }
}

fn services(statuses: &SourceStatuses) -> SourceStatus {
    statuses.all().remove(SERVICES).expect("a status")
}

#[test]
fn a_source_is_listing_and_then_watching() {
    let statuses = SourceStatuses::new(&[SERVICES, "nodes"], at(1));
    assert!(!statuses.have_listed());
    statuses.list_started(SERVICES, at(2));
    statuses.list_done(SERVICES, at(3));
    statuses.succeeded(SERVICES, at(9));
    let status = services(&statuses);
    assert_eq!((status.state, status.since), (SourceState::Watching, at(3)));
    assert_eq!(status.last_success, Some(at(9)));
    assert!(!statuses.have_listed(), "nodes are missing");
    statuses.list_done("nodes", at(10));
    assert!(statuses.have_listed());
    statuses.list_done(SERVICES, at(11));
    assert_eq!(services(&statuses).relists(), 1);
}

#[test]
fn without_sources_none_has_listed() {
    assert!(!SourceStatuses::default().have_listed());
}

#[test]
fn each_kind_of_problem_is_a_state() {
    let statuses = SourceStatuses::new(&[SERVICES], at(1));
    for (seconds, kind, state) in [
        (2, ProblemKind::Unauthorized, SourceState::Refused),
        (3, ProblemKind::Unreachable, SourceState::Unreachable),
        (4, ProblemKind::ServerFailed, SourceState::Failing),
        (5, ProblemKind::Forbidden, SourceState::Refused),
    ] {
        statuses.failed(SERVICES, &problem(kind, "why"), at(seconds));
        let status = services(&statuses);
        assert_eq!((status.state, status.since), (state, at(seconds)));
        assert_eq!(status.last_error.expect("one").kind, kind);
    }
    // A repeated problem does not change the state.
    statuses.failed(SERVICES, &problem(ProblemKind::Forbidden, "why"), at(60));
    let status = services(&statuses);
    assert_eq!(status.since, at(5));
    assert_eq!(status.last_error.expect("one").time, at(60));
    // The last problem stays visible after it is over.
    statuses.watch_restarted(SERVICES, at(61));
    let status = services(&statuses);
    assert_eq!(
        (status.state, status.since, status.watch_restarts),
        (SourceState::Watching, at(61), 1)
    );
    assert!(status.last_error.is_some());
}

/// An alert that waits for minutes would never fire if each attempt reset the state.
#[test]
fn a_list_that_always_aborts_keeps_failing() {
    let statuses = SourceStatuses::new(&[SERVICES], at(1));
    for attempt in 0..3 {
        statuses.list_started(SERVICES, at(10 * attempt));
        statuses.failed(
            SERVICES,
            &problem(ProblemKind::Protocol, "why"),
            at(10 * attempt + 1),
        );
    }
    statuses.list_started(SERVICES, at(40));
    let status = services(&statuses);
    assert_eq!((status.state, status.since), (SourceState::Failing, at(1)));
    statuses.list_done(SERVICES, at(41));
    statuses.list_started(SERVICES, at(50));
    let status = services(&statuses);
    assert_eq!((status.state, status.since), (SourceState::Listing, at(50)));
    assert_eq!(status.last_success, Some(at(41)));
}

#[test]
fn errors_are_safe_to_print() {
    let statuses = SourceStatuses::new(&[SERVICES], at(1));
    let text = "a\n\u{1b}[31mé";
    statuses.failed(SERVICES, &problem(ProblemKind::Protocol, text), at(2));
    let error = services(&statuses).last_error.expect("one");
    assert_eq!(&*error.message, r"a\n\u{1b}[31mé");
}
