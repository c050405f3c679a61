//! Daemon: raw events to verdicts.
