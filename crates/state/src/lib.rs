//! What the log says about one user or one item: apply, encode, read at a moment.
