//! Destination of a guest's output.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// Destination of what a command in a guest writes.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    /// This process's own standard output and standard error.
    Streamed,
    /// One buffer for both.
    Collected(Arc<Mutex<Vec<u8>>>),
}

impl Output {
    /// Returns an output with an empty buffer.
    pub(crate) fn collected() -> Self {
        Output::Collected(Arc::default())
    }

    /// Returns a writer to this destination. [`Output::Streamed`] writes to `own`, a stream of this
    /// process.
    pub(crate) fn writer(&self, own: impl Write + Send + 'static) -> Box<dyn Write + Send> {
        match self {
            Output::Streamed => Box::new(own),
            Output::Collected(buffer) => Box::new(Buffer(Arc::clone(buffer))),
        }
    }

    /// Takes the collected bytes.
    pub(crate) fn take(&self) -> Vec<u8> {
        match self {
            Output::Streamed => Vec::new(),
            Output::Collected(buffer) => {
                mem::take(&mut buffer.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

/// Appends to a shared buffer.
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
