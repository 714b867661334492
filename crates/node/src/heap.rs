//! The allocator of the daemon, for every program that is to behave as the daemon does.

pub use tikv_jemallocator::Jemalloc;

/// Gives a program the daemon's allocator.
///
/// Tens of thousands of Services are taken in among buffers that live for a moment. jemalloc keeps sizes apart and gives back what
/// is free; glibc's allocator kept a fifth more here, with trimming.
#[macro_export]
macro_rules! daemon_allocator {
    () => {
        #[global_allocator]
        static ALLOCATOR: $crate::heap::Jemalloc = $crate::heap::Jemalloc;

        /// Settings that jemalloc reads when it starts (`malloc_conf`, jemalloc(3), TUNING): one arena, for few threads allocate
        /// here, for large pieces too; and a thread that gives free memory back after some seconds. `_RJEM_MALLOC_CONF` in the
        /// environment overrides it.
        // SAFETY: jemalloc's symbol of this name is a pointer to text that ends with a zero byte, and so is this.
        #[unsafe(export_name = "_rjem_malloc_conf")]
        #[used]
        static CONF: &[u8; 91] =
            b"narenas:1,oversize_threshold:0,background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0\0";
    };
}
