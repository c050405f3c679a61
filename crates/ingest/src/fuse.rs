//! The faults that tests inject: in debug builds, and in no other, a value that ends in a certain way aborts the process
//! that decodes it, or panics.

/// How a value ends that aborts the process which decodes it, where the build is for tests.
const FUSE: &[u8] = b"upnext: abort the decoder of a debug build";
/// The same for a panic.
const PANIC: &[u8] = b"upnext: panic in the decoder of a debug build";

/// Aborts or panics, in a debug build, over a value that ends with [`FUSE`] or [`PANIC`].
pub(crate) fn burn(value: Option<&[u8]>) {
    let ends_with = |end| cfg!(debug_assertions) && value.is_some_and(|value| value.ends_with(end));
    if ends_with(FUSE) {
        std::process::abort();
    }
    assert!(!ends_with(PANIC), "a test wants a panic");
}
