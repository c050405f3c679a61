//! House keeping: `cargo xtask tidy`.

fn main() {}
