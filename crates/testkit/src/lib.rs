//! What tests start: a real redis-server, and the embedded broker and registry, each on a free loopback port.
//!
//! Everything ends when its value is dropped, also when the test panics. Waiting is polling with a bound
//! ([`eventually`], [`eventually_async`], [`wait_for`]), never a fixed sleep. With `TEST_SERVICES=DIR` in the
//! environment broker and registry are real ones, started by the scripts in that directory.

mod outside;
mod redis;
mod redis_cluster;
mod stack;
mod wait;

pub use redis::Redis;
pub use redis_cluster::RedisCluster;
pub use stack::Stack;
pub use wait::{eventually, eventually_async, free_port, wait_for};
