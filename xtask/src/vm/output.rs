//! Destination of a guest's output.

use std::io::{self, Read, Write};
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

/// Copies a stream to an output as data arrives, and returns all of it. A closed output does not
/// stop the program that writes the stream.
pub(crate) fn copy(mut stream: impl Read, mut output: impl Write) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return all,
            Ok(length) => {
                let _ = output.write_all(&buffer[..length]);
                let _ = output.flush();
                all.extend_from_slice(&buffer[..length]);
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
