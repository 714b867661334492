//! Batches: many requests in one send.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_NOOP, NetlinkSerializable};

use super::{Answer, Connection, Request, is_overrun};
use crate::error::{DumpError, Failure};
use crate::transport::Transport;

/// Maximum number of requests in one send. More requests do not make it faster.
const MAX_MESSAGES: usize = 256;

/// Number of bytes after which no further request is added to a send. The kernel refuses a send
/// that is larger than the send buffer (208 KiB by default) with `EMSGSIZE`.
const MAX_BYTES: usize = 64 * 1024;

/// Outcome of a request; `None` as long as it is unknown.
type Outcome = Option<Result<(), Failure>>;

/// Message about a request other than its outcome.
pub(super) enum Report<'a> {
    /// Payload of a part of the answer.
    Data(&'a [u8]),
    /// Payload of the refused request, as the kernel sent it back.
    Echo(&'a [u8]),
}

/// Callback with the index of a request and a message about it.
type Listener<'a> = &'a mut dyn FnMut(usize, Report<'_>);

pub(super) fn execute<T: Transport, M: NetlinkSerializable>(
    connection: &mut Connection<T>,
    requests: impl IntoIterator<Item = Request<M>>,
    listener: Listener<'_>,
) -> Vec<Result<(), Failure>> {
    let mut requests = requests.into_iter().peekable();
    let mut outcomes = Vec::new();
    while requests.peek().is_some() {
        connection.out.clear();
        let first = connection.sequence.wrapping_add(1);
        let mut count = 0;
        let mut last_flags = 0;
        while count < MAX_MESSAGES && connection.out.len() < MAX_BYTES {
            let Some(request) = requests.next() else {
                break;
            };
            last_flags = connection.out.len() + 6;
            connection.append(&request.message, NLM_F_REQUEST | request.flags);
            count += 1;
        }
        acknowledge(&mut connection.out, last_flags);
        let before = outcomes.len();
        let mut listener = |index: usize, report: Report<'_>| listener(before + index, report);
        outcomes.extend(send(connection, first, count, &mut listener));
    }
    outcomes
}

/// Requests an acknowledgement of the message whose flags are at `position`.
fn acknowledge(out: &mut [u8], position: usize) {
    if let Some(bytes) = out.get_mut(position..position + 2) {
        let flags = u16::from_ne_bytes([bytes[0], bytes[1]]) | NLM_F_ACK;
        bytes.copy_from_slice(&flags.to_ne_bytes());
    }
}

/// Sends the prepared buffer, `count` messages from sequence number `first`, and collects their
/// outcomes.
fn send<T: Transport>(
    connection: &mut Connection<T>,
    first: u32,
    count: usize,
    listener: Listener<'_>,
) -> Vec<Result<(), Failure>> {
    if let Err(error) = connection.transport.send(&connection.out) {
        let copy = |error: &std::io::Error| match error.raw_os_error() {
            Some(number) => std::io::Error::from_raw_os_error(number),
            None => std::io::Error::from(error.kind()),
        };
        return (0..count)
            .map(|_| Err(Failure::NotSent(copy(&error))))
            .collect();
    }
    let mut known: Vec<Outcome> = (0..count).map(|_| None).collect();
    let complete = gather(connection, first, &mut known, listener);
    (known.into_iter())
        .map(|outcome| match outcome {
            Some(outcome) => outcome,
            // The kernel works in order and reports every failure except `EINTR`
            // (`netlink_rcv_skb`). A request without an answer before the last one therefore
            // succeeded, unless answers were dropped.
            None if complete => Ok(()),
            None => Err(Failure::Lost),
        })
        .collect()
}

/// Receives until the last request is answered. Returns true if no answer was dropped.
fn gather<T: Transport>(
    connection: &mut Connection<T>,
    first: u32,
    known: &mut [Outcome],
    listener: Listener<'_>,
) -> bool {
    let mut complete = true;
    let mut last = known.len().saturating_sub(1);
    loop {
        let reply = match connection.answers.next(&mut connection.transport) {
            Ok(reply) => reply,
            Err(DumpError::Receive(error)) if is_overrun(&error) => {
                complete = false;
                // The last answer may be among the dropped ones. The kernel answers a message
                // without effect after all others.
                let Some(barrier) = send_barrier(connection) else {
                    return false;
                };
                last = usize::try_from(barrier.wrapping_sub(first)).unwrap_or(usize::MAX);
                continue;
            }
            Err(_) => return false,
        };
        let Ok(index) = usize::try_from(reply.sequence.wrapping_sub(first)) else {
            continue;
        };
        match reply.answer() {
            Answer::Data(payload) if index < known.len() => listener(index, Report::Data(payload)),
            Answer::Data(_) => {}
            Answer::End(result) => {
                if let Some(known) = known.get_mut(index) {
                    if let (Err(_), Some(payload)) = (&result, reply.echo()) {
                        listener(index, Report::Echo(payload));
                    }
                    let refused = |(errno, message)| Failure::Refused { errno, message };
                    *known = Some(result.map_err(refused));
                }
                if index == last {
                    return complete;
                }
            }
        }
    }
}

/// Sends a message whose only effect is its acknowledgement, and returns its sequence number.
fn send_barrier<T: Transport>(connection: &mut Connection<T>) -> Option<u32> {
    connection.out.clear();
    connection.append_header(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 0);
    (connection.transport.send(&connection.out)).ok()?;
    Some(connection.sequence)
}
