//! Ingest over a real broker and registry: every record has one outcome, whatever happens meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod ground;
mod outcomes;
mod trouble;
mod redrive;
