//! Adds and deletes entries, many in one message.

use std::ops::Range;

use netlink::{Connection, Errno, Failure, Transport};

use super::error::{RequestError, copy};
use super::request::{self, Request};
use crate::codec::convert::refused_line;
use crate::codec::{Command, Message};

/// Numbers of entries in one message, for successive attempts. The first is limited by the size of
/// an attribute (64 KiB) and of an entry (at most 84 bytes).
///
/// The kernel ignores the entries after a failing one. They are sent again, in smaller messages
/// each time. If every entry fails, each is sent at most four times.
const MESSAGE_SIZES: [usize; 4] = [700, 64, 8, 1];

/// Outcome of an addition or deletion; `None` as long as it is unknown.
type Outcome = Option<Result<(), Failure>>;

/// Adds or deletes entries of one set; all requests are of the same kind. Returns one outcome for
/// each.
pub(super) fn execute<T: Transport>(
    connection: &mut Connection<T>,
    protocol: u8,
    requests: &[Request],
) -> Vec<Result<(), RequestError>> {
    let mut outcomes: Vec<Outcome> = requests.iter().map(|_| None).collect();
    let mut unknown: Vec<Range<usize>> = std::iter::once(0..requests.len()).collect();
    for size in MESSAGE_SIZES {
        let pieces: Vec<Range<usize>> = unknown
            .iter()
            .flat_map(|range| pieces(range.clone(), size))
            .collect();
        unknown = send(connection, protocol, requests, pieces, &mut outcomes);
        if unknown.is_empty() {
            break;
        }
    }
    (outcomes.into_iter().zip(requests))
        .map(|(outcome, request)| {
            (outcome.unwrap_or(Err(Failure::Lost)))
                .map_err(|failure| RequestError::new(request.clone(), failure))
        })
        .collect()
}

fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(size)
        .map(move |start| start..end.min(start + size))
}

/// Sends one message for each piece. Returns the ranges whose outcome is still unknown.
fn send<T: Transport>(
    connection: &mut Connection<T>,
    protocol: u8,
    requests: &[Request],
    pieces: Vec<Range<usize>>,
    outcomes: &mut [Outcome],
) -> Vec<Range<usize>> {
    let mut lines: Vec<Option<usize>> = vec![None; pieces.len()];
    let messages = pieces.iter().map(|piece| netlink::Request {
        message: request::of_entries(protocol, &requests[piece.clone()]),
        flags: 0,
    });
    let answers = connection.execute_echoing(messages, |index, payload| {
        // The command does not matter: the number of the line has the same place for additions and
        // deletions.
        let message = Message::decode(Command::Add, payload).ok();
        if let Some(line) = lines.get_mut(index) {
            *line = message.as_ref().and_then(refused_line);
        }
    });
    let mut unknown = Vec::new();
    for ((piece, answer), line) in pieces.into_iter().zip(answers).zip(lines) {
        unknown.extend(
            record_outcomes(&mut outcomes[piece.clone()], answer, line).map(|rest| {
                let start = piece.start + rest;
                start..piece.end
            }),
        );
    }
    unknown
}

/// Records the outcomes that follow from the answer to one message. Returns the index of the first
/// entry whose outcome is still unknown.
fn record_outcomes(
    outcomes: &mut [Outcome],
    answer: Result<(), Failure>,
    line: Option<usize>,
) -> Option<usize> {
    let failure = match answer {
        Ok(()) => {
            outcomes.fill_with(|| Some(Ok(())));
            return None;
        }
        Err(failure) => failure,
    };
    let failing = match (&failure, line) {
        (Failure::Refused { .. }, Some(line)) if line <= outcomes.len() => line - 1,
        (Failure::Refused { errno, .. }, None)
            if outcomes.len() > 1 && !concerns_the_set(*errno) =>
        {
            return Some(0);
        }
        _ => {
            outcomes.fill_with(|| Some(Err(copy(&failure))));
            return None;
        }
    };
    outcomes[..failing].fill_with(|| Some(Ok(())));
    outcomes[failing] = Some(Err(failure));
    (failing + 1 < outcomes.len()).then_some(failing + 1)
}

/// Returns true if a refusal without a line concerns the set, and thus each of its entries.
fn concerns_the_set(errno: Errno) -> bool {
    matches!(errno.0, libc::ENOENT | libc::EPERM)
}
