//! The online store: keys, conditional puts, watermarks, reads under a deadline.
