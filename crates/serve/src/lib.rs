//! The serving daemon: answers within a deadline, always.
//!
//! An answer's way: `admission` (deadline, moment, forced rung), `ask` (the request and its limits), `hydrate` (the
//! user's state), `ladder` (which rung), `compute` (the bounded pool), `rungs` (the rung itself), `answer`, and
//! `decisions` after it. What answers read is the `world` of one generation of state
//! (`worlds`), kept fresh by `catalogue`, `states`, `models` and
//! `upkeep`. The calls are in `answers`, `events`, `items` and `users`.
//!
//! Invariants: an answering call is 200 whatever fails behind it; no runtime worker computes an answer, except for
//! the last resort, which sums nothing; the request path reads the store once and writes nothing.

mod admission;
mod ask;
mod hydrate;
mod ladder;
mod compute;
mod world;
mod worlds;
mod lists;
mod rungs;
mod answer;
mod engine;
mod side_effects;
mod decisions;
mod catalogue;
mod states;
mod models;
mod upkeep;
mod outlet;
mod barrier;
mod app;
mod answers;
mod events;
mod items;
mod users;
mod openapi;
mod routes;
mod start;

pub use start::{Drained, Running, Serve, ServeError};
