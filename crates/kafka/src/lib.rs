//! Topics: read in order, commit after effect, write durably.
//!
//! The only user of rdkafka. `producer` writes; `group` shares a topic's partitions among processes and hands out
//! each partition's records in order; `tail` follows or reads a whole topic without a group; `scan` reads stretches of
//! one; `glance` looks at one partition; `transaction` writes several records all or none; `admin` creates topics and answers questions about them.

mod client;
mod error;
mod record;
pub mod producer;
pub mod group;
pub mod tail;
mod ahead;
mod silence;
pub mod scan;
pub mod glance;
pub mod transaction;
pub mod admin;

pub use error::KafkaError;
pub use producer::{Delivery, Producer, ProducerSettings};
pub use record::{Header, Outgoing, Record};
pub use transaction::Transactions;
