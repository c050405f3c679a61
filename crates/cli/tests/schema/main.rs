//! `upnext schema` as data engineers run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod verb;
mod planted;
mod exits;
mod register;
mod codegen;
