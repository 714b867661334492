//! Library for `LD_PRELOAD` in User-Mode Linux, for processors with more state than User-Mode Linux
//! keeps.
//!
//! User-Mode Linux 6.1 (arch/x86/um/os-Linux/registers.c) transfers its processes' vector registers
//! by ptrace with a buffer of 2,696 bytes. A host kernel accepts a write only of the whole state
//! (arch/x86/kernel/fpu/regset.c, xstateregs_set), which is 11,008 bytes on a processor with AMX:
//! every write fails and the guest dies on its first process. This library transfers the state
//! through a buffer that is large enough. The part that the guest's kernel does not keep is always
//! in its initial state, because a process must ask the host's kernel before it may use AMX, and a
//! guest's process cannot ask.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

const SYS_PTRACE: c_long = 101;
const PEEKTEXT: c_uint = 1;
const PEEKUSER: c_uint = 3;
const GETREGSET: c_uint = 0x4204;
const SETREGSET: c_uint = 0x4205;
const NT_X86_XSTATE: usize = 0x202;

const ROOM: usize = 32 * 1024;
/// Index of the 64-bit word of the state's header that names the features that are not in their
/// initial state.
const XSTATE_BV: usize = 512;
/// x87, SSE, AVX, MPX, AVX-512, PT and PKRU: the features within the bytes that are kept.
const KEPT_FEATURES: u64 = 0x3ff;

/// Size of the host's state, known after the first read.
static HOST_SIZE: AtomicUsize = AtomicUsize::new(0);

#[repr(C)]
struct IoVec {
    base: *mut u8,
    length: usize,
}

/// Not on the stack, which is a guest kernel thread's and small. The guest has one processor and
/// calls from one thread of the host.
#[repr(C, align(64))]
struct State(UnsafeCell<[u8; ROOM]>);

// SAFETY: see above, there is no second thread that touches it.
unsafe impl Sync for State {}

static STATE: State = State(UnsafeCell::new([0; ROOM]));

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
}

/// Replaces the C library's function, which is variadic; on x86-64 four integer arguments are
/// passed the same way.
///
/// # Safety
/// As ptrace(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ptrace(
    request: c_uint,
    pid: c_int,
    address: usize,
    data: *mut c_void,
) -> c_long {
    unsafe {
        match request {
            GETREGSET if address == NT_X86_XSTATE => get(pid, data.cast()),
            SETREGSET if address == NT_X86_XSTATE => set(pid, data.cast()),
            // The system call stores the word, the function returns it.
            PEEKTEXT..=PEEKUSER => {
                let mut word: c_long = 0;
                let failed = syscall(
                    SYS_PTRACE,
                    c_long::from(request),
                    c_long::from(pid),
                    address,
                    &raw mut word,
                ) < 0;
                if failed {
                    return -1;
                }
                *__errno_location() = 0;
                word
            }
            _ => syscall(
                SYS_PTRACE,
                c_long::from(request),
                c_long::from(pid),
                address,
                data,
            ),
        }
    }
}

unsafe fn get(pid: c_int, wanted: *mut IoVec) -> c_long {
    unsafe {
        let state: *mut u8 = STATE.0.get().cast();
        let mut all = IoVec {
            base: state,
            length: ROOM,
        };
        let result = syscall(
            SYS_PTRACE,
            c_long::from(GETREGSET),
            c_long::from(pid),
            NT_X86_XSTATE,
            &raw mut all,
        );
        if result < 0 {
            return result;
        }
        HOST_SIZE.store(all.length, Ordering::Relaxed);
        let length = (*wanted).length.min(all.length);
        std::ptr::copy_nonoverlapping(state, (*wanted).base, length);
        (*wanted).length = length;
        result
    }
}

unsafe fn set(pid: c_int, given: *mut IoVec) -> c_long {
    unsafe {
        let size = HOST_SIZE
            .load(Ordering::Relaxed)
            .max((*given).length)
            .min(ROOM);
        let state: *mut u8 = STATE.0.get().cast();
        let length = (*given).length.min(size);
        std::ptr::copy_nonoverlapping((*given).base, state, length);
        std::ptr::write_bytes(state.add(length), 0, size - length);
        if length < size {
            let word: *mut u64 = state.add(XSTATE_BV).cast();
            *word &= KEPT_FEATURES;
        }
        let mut all = IoVec {
            base: state,
            length: size,
        };
        syscall(
            SYS_PTRACE,
            c_long::from(SETREGSET),
            c_long::from(pid),
            NT_X86_XSTATE,
            &raw mut all,
        )
    }
}
