//! Ingest over a real broker and registry: every record has one outcome, whatever happens meanwhile.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so, and what it measured"
)]

mod front;
mod ground;
mod anew;
mod faults;
mod held;
mod lowered;
mod outcomes;
mod refused;
mod trouble;
mod redrive;
