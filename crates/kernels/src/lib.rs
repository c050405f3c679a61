//! Dot products, dense layers and top-k with run-time dispatch: the only crate with `unsafe` in it.
//!
//! Every f32 kernel is one plain Rust body compiled three times (AVX-512, AVX2, baseline). Lanes and the order of
//! sums are fixed in the body and nothing is contracted to fused operations, so the three agree to the bit. The int8
//! kernels are written with intrinsics; integer sums have no rounding, so those agree to the bit too.

mod dense;
mod dot;
mod exp;
mod int8;
mod level;
mod top;

pub use dense::Dense;
pub use dot::{add_scaled, dot};
pub use exp::{exp_in_place, gelu, gelu_slope, softmax_in_place};
pub use int8::{DIM_MAX, Quantised, dot_rows_i8, quantise};
pub use top::{Scored, top_k};
