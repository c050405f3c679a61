//! Serve between a real broker, registry and redis-server: what strangers' programs see.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod client;
mod stack;
mod answers;
mod refusals;
mod models;
mod trouble;
mod generations;
mod stopping;
