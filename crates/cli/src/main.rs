//! The `upnext` binary.

fn main() {}
