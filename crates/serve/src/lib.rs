//! Daemon: answers within a deadline, always.
