//! The one place of this crate where the compiler has to take our word.

/// Gives memory that was freed back to the system.
///
/// Reading a large fleet takes several times the room that holding it does, and the allocator of
/// glibc keeps freed memory that does not happen to lie at the end of its own.
#[cfg(target_env = "gnu")]
pub(crate) fn give_back_free_memory() {
    // It says whether anything was given back, which changes nothing.
    let _ = glibc::malloc_trim(0);
}

/// Other allocators give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back_free_memory() {}

#[cfg(target_env = "gnu")]
mod glibc {
    #[expect(unsafe_code, reason = "no library offers this one function of glibc")]
    // SAFETY: the signature is that of malloc_trim(3), which any thread may call at any time.
    unsafe extern "C" {
        pub(super) safe fn malloc_trim(pad: usize) -> core::ffi::c_int;
    }
}
