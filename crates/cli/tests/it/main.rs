//! The binary as its users run it: everything in one process, on real Redis, Kafka protocol and HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod running;
mod exits;
mod lifecycle;
mod loop_of_events;
mod dead_letters;
mod daemons;
mod evaluation;
mod cases;
mod redis_gone;
mod top;
