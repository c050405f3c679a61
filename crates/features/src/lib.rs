//! Daemon: valid events to state in Redis.
