//! Nearest items to a vector.
