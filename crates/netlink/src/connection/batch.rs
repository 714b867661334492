//! Many requests in one send.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_NOOP, NetlinkSerializable};

use super::{Answer, Connection, Request, is_overrun};
use crate::error::{DumpError, Failure};
use crate::transport::Transport;

/// Requests in one send: beyond this nothing is gained.
const MESSAGES: usize = 256;

/// Bytes in one send. The kernel refuses what is larger than the send buffer (208 KiB unless the system
/// says otherwise) with `EMSGSIZE`.
const BYTES: usize = 64 * 1024;

/// The outcome of a request; none while nothing is known.
type Known = Option<Result<(), Failure>>;

/// Something that the kernel reports about a request besides how it ended.
pub(super) enum Said<'a> {
    /// A part of the answer.
    Data(&'a [u8]),
    /// The payload of the request, which is refused, as the kernel sent it back.
    Echo(&'a [u8]),
}

/// Called with the number of a request, from 0, and what the kernel reports about it.
type Listener<'a> = &'a mut dyn FnMut(usize, Said<'_>);

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
        while count < MESSAGES && connection.out.len() < BYTES {
            let Some(request) = requests.next() else {
                break;
            };
            last_flags = connection.out.len() + 6;
            connection.append(&request.message, NLM_F_REQUEST | request.flags);
            count += 1;
        }
        acknowledge(&mut connection.out, last_flags);
        let before = outcomes.len();
        let mut listener = |index: usize, said: Said<'_>| listener(before + index, said);
        outcomes.extend(send(connection, first, count, &mut listener));
    }
    outcomes
}

/// Asks for an acknowledgement of the message whose flags are at `position`.
fn acknowledge(out: &mut [u8], position: usize) {
    if let Some(bytes) = out.get_mut(position..position + 2) {
        let flags = u16::from_ne_bytes([bytes[0], bytes[1]]) | NLM_F_ACK;
        bytes.copy_from_slice(&flags.to_ne_bytes());
    }
}

/// Sends what is prepared, `count` messages from sequence number `first`, and gathers what became of
/// them.
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
    let mut known: Vec<Known> = (0..count).map(|_| None).collect();
    let complete = gather(connection, first, &mut known, listener);
    (known.into_iter())
        .map(|outcome| match outcome {
            Some(outcome) => outcome,
            // The kernel works in order and reports failures, but for `EINTR` (`netlink_rcv_skb`):
            // all before the last answer that say nothing went well, unless answers were dropped.
            None if complete => Ok(()),
            None => Err(Failure::Lost),
        })
        .collect()
}

/// Receives until the last request is answered. Returns whether no answer was dropped.
fn gather<T: Transport>(
    connection: &mut Connection<T>,
    first: u32,
    known: &mut [Known],
    listener: Listener<'_>,
) -> bool {
    let mut complete = true;
    let mut last = known.len().saturating_sub(1);
    loop {
        let reply = match connection.answers.next(&mut connection.transport) {
            Ok(reply) => reply,
            Err(DumpError::Receive(error)) if is_overrun(&error) => {
                complete = false;
                // Is the last answer among the dropped ones? A message that does nothing is answered
                // after all the others.
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
            Answer::Data(payload) if index < known.len() => listener(index, Said::Data(payload)),
            Answer::Data(_) => {}
            Answer::End(result) => {
                if let Some(known) = known.get_mut(index) {
                    if let (Err(_), Some(payload)) = (&result, reply.echo()) {
                        listener(index, Said::Echo(payload));
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

/// Sends a message that does nothing but be acknowledged, and returns its sequence number.
fn send_barrier<T: Transport>(connection: &mut Connection<T>) -> Option<u32> {
    connection.out.clear();
    connection.append_header(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 0);
    (connection.transport.send(&connection.out)).ok()?;
    Some(connection.sequence)
}
