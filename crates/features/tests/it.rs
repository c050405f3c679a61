//! Features over the embedded broker and registry and a real redis-server: whatever happens, state equals a single
//! pass over the log, byte for byte.

#[path = "it/anew.rs"]
mod anew;
#[path = "it/cluster.rs"]
mod cluster;
#[path = "it/crowd.rs"]
mod crowd;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/late.rs"]
mod late;
#[path = "it/oracle.rs"]
mod oracle;
#[path = "it/plain.rs"]
mod plain;
#[path = "it/rebuild.rs"]
mod rebuild;
#[path = "it/verify.rs"]
mod verify;
#[path = "it/world.rs"]
mod world;
