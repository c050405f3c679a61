//! Topics over a real broker: what is sent is read, in order, by whom it should be.

mod ground;
mod producing;
mod reading;
mod sharing;
mod following;
mod topics;
