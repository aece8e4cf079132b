//! The atomics and the lock of the room and of buffers: the standard ones, or loom's when it explores them.

#[cfg(plimsoll_loom)]
pub use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(plimsoll_loom)]
pub use loom::thread::yield_now as pause;
#[cfg(not(plimsoll_loom))]
pub use std::hint::spin_loop as pause;
#[cfg(not(plimsoll_loom))]
pub use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
