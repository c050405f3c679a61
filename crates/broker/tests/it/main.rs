//! The broker as clients see it, mostly through librdkafka.

mod admin;
mod groups;
mod limits;
mod records;
mod restart;
mod support;
mod transactions;
mod wire;
