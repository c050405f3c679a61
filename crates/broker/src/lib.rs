//! Embedded Kafka-protocol broker: laptop and tests, loopback only, never production.
