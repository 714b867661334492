//! A stop signal that wakes waiting threads.

use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stop signal that other threads notice at once, even while they wait for a child process.
/// Clones share the signal. It is set once and stays set. The default signal is never set.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    flag: Arc<AtomicBool>,
    /// Becomes readable once the signal is set. The byte is never read.
    reader: PipeReader,
    writer: PipeWriter,
}

impl StopSignal {
    /// Creates a signal that is not set.
    ///
    /// # Errors
    ///
    /// The process has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self(Some(Arc::new(Shared {
            flag: Arc::default(),
            reader,
            writer,
        }))))
    }

    /// Sets the signal. Child processes that the kernel crate waits for are killed.
    pub fn set(&self) {
        if let Some(shared) = &self.0
            && !shared.flag.swap(true, Ordering::SeqCst)
        {
            // An empty pipe always has room for one byte, and both ends are open.
            let _ = (&shared.writer).write(&[1]);
        }
    }

    /// Returns true if the signal is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        (self.0.as_ref()).is_some_and(|shared| shared.flag.load(Ordering::SeqCst))
    }

    /// Returns the flag alone, for code that checks it between two steps.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        (self.0.as_ref()).map_or_else(Arc::default, |shared| Arc::clone(&shared.flag))
    }

    /// Returns the descriptor that becomes readable, or `None` for a signal that is never
    /// set.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|shared| shared.reader.as_fd())
    }
}
