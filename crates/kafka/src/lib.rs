//! Topics: read in order, commit after effect, write durably.
