//! The binary as its users run it: everything in one process, on real Redis, Kafka protocol and HTTP.

mod running;
mod exits;
mod lifecycle;
mod loop_of_events;
mod daemons;
