//! What the log says about one user or one item: apply, encode, read at a moment.
//!
//! State is a deterministic function of a log prefix: it reads no clock, and every encoded value begins with the
//! position up to which it has seen the log. What an event says about items depends on its user's state, so
//! applying an event to a user emits [`signal::Signal`]s, and these are what items are made of.

pub mod half_life;
pub mod header;
mod wire;
mod part;
pub mod window;
pub mod ring;
mod weight;
pub mod top;
pub mod user;
pub mod signal;
pub mod pair;
pub mod item;
pub mod replay;
pub mod lineage;
#[cfg(test)]
mod sample;

pub use header::Position;
pub use item::{ItemMoment, ItemPosition, ItemState};
pub use part::Part;
pub use replay::Replay;
pub use ring::RingEvent;
pub use signal::{Direction, Signal, SignalBatch, SignalEntry, What};
pub use top::TopItem;
pub use user::{Applied, UserState};
pub use wire::DecodeError;

/// No encoded user state is ever larger.
pub const USER_BYTES_MAX: usize = 8 * 1024;
