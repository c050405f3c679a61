//! Embedded schema registry: laptop and tests, loopback only, never production.
