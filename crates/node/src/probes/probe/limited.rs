//! A connection from which a limited number of bytes is read.
//!
//! Headers, records and frames have limits of their own, but not their number: an endpoint may send
//! informational answers, settings or pings for as long as the timeout allows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that fails after a number of bytes.
#[derive(Debug)]
pub(super) struct Limited<S> {
    stream: S,
    /// Number of bytes that may still be read.
    left: usize,
}

/// Kind of the error at the limit, which no call for a socket returns. HTTP/2 keeps only the kind of
/// an error.
const TOO_LONG: io::ErrorKind = io::ErrorKind::FileTooLarge;

/// Returns true if a read failed because of the limit.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.kind() == TOO_LONG
}

impl<S> Limited<S> {
    /// Limits `stream` to `limit` bytes.
    pub(super) fn new(stream: S, limit: usize) -> Self {
        Self {
            stream,
            left: limit,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(Err(TOO_LONG.into()));
        }
        let room = buffer.remaining().min(this.left);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        let length = part.filled().len();
        buffer.advance(length);
        this.left -= length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
