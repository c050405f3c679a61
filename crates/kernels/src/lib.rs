//! Dot products and top-k with run-time dispatch.
