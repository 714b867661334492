//! The allocator of the daemon, for every program that has to behave like the daemon.

pub use tikv_jemallocator::Jemalloc;

/// Sets the daemon's allocator as the global allocator of a program.
///
/// The daemon stores tens of thousands of Services while it allocates many short-lived buffers.
/// jemalloc separates allocations by size and returns free memory to the system. glibc's allocator
/// kept a fifth more memory, even with trimming.
#[macro_export]
macro_rules! daemon_allocator {
    () => {
        #[global_allocator]
        static ALLOCATOR: $crate::heap::Jemalloc = $crate::heap::Jemalloc;

        /// Settings that jemalloc reads when it starts (`malloc_conf`, jemalloc(3), TUNING): one
        /// arena, also for large allocations, since few threads allocate; and a thread that returns
        /// free memory after some seconds. `_RJEM_MALLOC_CONF` in the environment overrides them.
        // SAFETY: jemalloc's symbol of this name is a pointer to text that ends with a zero byte,
        // and so is this.
        #[unsafe(export_name = "_rjem_malloc_conf")]
        #[used]
        static CONF: &[u8; 91] =
            b"narenas:1,oversize_threshold:0,background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0\0";
    };
}
