//! What a run says: results on standard output, everything else on standard error.
//!
//! A reader that has gone away (`upnext config show | head`) is no failure: what it no longer reads is dropped.

use std::io::{self, Write};

/// One line of the result.
pub(crate) fn line(text: impl AsRef<str>) {
    writeln!(io::stdout().lock(), "{}", text.as_ref()).ok();
}

/// One line for the person who watches.
pub(crate) fn note(text: impl AsRef<str>) {
    writeln!(io::stderr().lock(), "{}", text.as_ref()).ok();
}
