//! Topics over a real broker: what is sent is read, in order, by whom it should be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod ground;
mod producing;
mod reading;
mod sharing;
mod following;
mod topics;
mod transacting;
