//! The fault that tests inject: in debug builds, and in no other, a value that ends in a certain way aborts the process
//! that decodes it.

/// How a value ends that aborts the process which decodes it, where the build is for tests.
const FUSE: &[u8] = b"upnext: abort the decoder of a debug build";

/// Aborts, in a debug build, over a value that ends with [`FUSE`].
pub(crate) fn burn(value: Option<&[u8]>) {
    if cfg!(debug_assertions) && value.is_some_and(|value| value.ends_with(FUSE)) {
        std::process::abort();
    }
}
