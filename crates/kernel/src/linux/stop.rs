//! A request to stop that wakes threads which wait.

use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stop that one thread requests and others see at once, even while they wait for a child process. Clones are
/// the same signal. It is set once and stays set. The default is a signal that is never set.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    flag: Arc<AtomicBool>,
    /// Readable once the signal is set: nothing ever reads the byte.
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

    /// Requests the stop. Children that the kernel crate waits for are killed.
    pub fn set(&self) {
        if let Some(shared) = &self.0
            && !shared.flag.swap(true, Ordering::SeqCst)
        {
            // One byte always fits into an empty pipe, and both of its ends are open.
            let _ = (&shared.writer).write(&[1]);
        }
    }

    /// Returns whether the stop was requested.
    #[must_use]
    pub fn is_set(&self) -> bool {
        (self.0.as_ref()).is_some_and(|shared| shared.flag.load(Ordering::SeqCst))
    }

    /// The flag alone, for code that looks at it between two steps.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        (self.0.as_ref()).map_or_else(Arc::default, |shared| Arc::clone(&shared.flag))
    }

    /// Returns the descriptor that becomes readable; `None` if the signal is never set.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|shared| shared.reader.as_fd())
    }
}
