//! Entries, many in a message.

use std::ops::Range;

use netlink::{Connection, Errno, Failure, Transport};

use super::error::{RequestError, copy};
use super::request::{self, Request};
use crate::codec::convert::refused_line;
use crate::codec::{Command, Message};

/// Numbers of entries that travel in one message: an entry has 84 bytes at most, an attribute 64 KiB. Behind a failing entry the
/// kernel does nothing of a message, so the rest is sent again, in smaller pieces each time: where every entry fails, each
/// travels four times at most.
const SIZES: [usize; 4] = [700, 64, 8, 1];

/// Outcome of adding or deleting an entry; none while nothing is known.
type Known = Option<Result<(), Failure>>;

/// Adds or deletes entries, all of one kind and one set. One outcome for each.
pub(super) fn execute<T: Transport>(
    connection: &mut Connection<T>,
    protocol: u8,
    requests: &[Request],
) -> Vec<Result<(), RequestError>> {
    let mut known: Vec<Known> = requests.iter().map(|_| None).collect();
    let mut open: Vec<Range<usize>> = std::iter::once(0..requests.len()).collect();
    for size in SIZES {
        let pieces: Vec<Range<usize>> = open
            .iter()
            .flat_map(|range| pieces(range.clone(), size))
            .collect();
        open = send(connection, protocol, requests, pieces, &mut known);
        if open.is_empty() {
            break;
        }
    }
    (known.into_iter().zip(requests))
        .map(|(known, request)| {
            (known.unwrap_or(Err(Failure::Lost)))
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

/// Sends a message for each piece and returns what is still to be done.
fn send<T: Transport>(
    connection: &mut Connection<T>,
    protocol: u8,
    requests: &[Request],
    pieces: Vec<Range<usize>>,
    known: &mut [Known],
) -> Vec<Range<usize>> {
    let mut lines: Vec<Option<usize>> = vec![None; pieces.len()];
    let messages = pieces.iter().map(|piece| netlink::Request {
        message: request::of_entries(protocol, &requests[piece.clone()]),
        flags: 0,
    });
    let answers = connection.execute_echoing(messages, |index, payload| {
        // What is looked for is the same in an addition and a deletion.
        let message = Message::decode(Command::Add, payload).ok();
        if let Some(line) = lines.get_mut(index) {
            *line = message.as_ref().and_then(refused_line);
        }
    });
    let mut open = Vec::new();
    for ((piece, answer), line) in pieces.into_iter().zip(answers).zip(lines) {
        open.extend(learn(&mut known[piece.clone()], answer, line).map(|rest| {
            let start = piece.start + rest;
            start..piece.end
        }));
    }
    open
}

/// Takes down what the answer to one message says about its entries. Returns where the ones begin of which
/// it says nothing.
fn learn(known: &mut [Known], answer: Result<(), Failure>, line: Option<usize>) -> Option<usize> {
    let failure = match answer {
        Ok(()) => {
            known.fill_with(|| Some(Ok(())));
            return None;
        }
        Err(failure) => failure,
    };
    let failing = match (&failure, line) {
        (Failure::Refused { .. }, Some(line)) if line <= known.len() => line - 1,
        (Failure::Refused { errno, .. }, None) if known.len() > 1 && !is_about_all(*errno) => {
            return Some(0);
        }
        _ => {
            known.fill_with(|| Some(Err(copy(&failure))));
            return None;
        }
    };
    known[..failing].fill_with(|| Some(Ok(())));
    known[failing] = Some(Err(failure));
    (failing + 1 < known.len()).then_some(failing + 1)
}

/// Returns true if a refusal without a line is about the set, and so about each of its entries.
fn is_about_all(errno: Errno) -> bool {
    matches!(errno.0, libc::ENOENT | libc::EPERM)
}
