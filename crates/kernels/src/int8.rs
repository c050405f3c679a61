//! Signed 8-bit vectors: quantising, and one query against many rows.

use crate::level::Level;

/// Longest vector: the sums of the VNNI kernel stay within 32 bits.
pub const DIM_MAX: usize = 32_768;

/// A vector as whole numbers in −127…127 times a scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    pub values: Vec<i8>,
    pub scale: f32,
}

/// Rounds to the nearest of 255 steps between ±max|x|. A zero vector has scale 0; what is not finite counts as zero.
#[must_use]
pub fn quantise(vector: &[f32]) -> Quantised {
    let finite = |x: &f32| if x.is_finite() { *x } else { 0.0 };
    let highest = vector.iter().map(|x| finite(x).abs()).fold(0.0, f32::max);
    let steps = if highest > 0.0 { 127.0 / highest } else { 0.0 };
    if !steps.is_finite() {
        return Quantised { values: vec![0; vector.len()], scale: 0.0 };
    }
    let values = vector.iter().map(|x| (finite(x) * steps).round() as i8).collect();
    Quantised { values, scale: highest / 127.0 }
}

/// Dot product of the query with every row of `rows` (row-major, each as long as the query), without rounding.
///
/// # Panics
/// If the query is longer than [`DIM_MAX`], or `rows` is not `out.len()` rows of its length.
pub fn dot_rows_i8(query: &[i8], rows: &[i8], out: &mut [i32]) {
    dot_rows_at(Level::best(), query, rows, out);
}

fn dot_rows_at(level: Level, query: &[i8], rows: &[i8], out: &mut [i32]) {
    assert!(query.len() <= DIM_MAX, "a vector of at most {DIM_MAX} dimensions");
    assert_eq!(rows.len(), out.len() * query.len(), "one row for every result");
    if query.is_empty() {
        out.fill(0);
        return;
    }
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "run-time dispatch")]
    match level {
        // SAFETY: `Vnni` is only ever made after its features were detected on this machine.
        Level::Vnni => unsafe { x86::dot_rows_vnni(query, rows, out) },
        // SAFETY: `Avx2` is only ever made after AVX2 was detected, or AVX-512, which includes it.
        Level::Avx2 => unsafe { x86::dot_rows_avx2(query, rows, out) },
        Level::Portable => dot_rows_portable(query, rows, out),
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        debug_assert_eq!(level, Level::Portable);
        dot_rows_portable(query, rows, out);
    }
}

fn dot_rows_portable(query: &[i8], rows: &[i8], out: &mut [i32]) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        *out = dot_portable(query, row);
    }
}

#[inline(always)]
fn dot_portable(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The two kernels with intrinsics. All loads are unaligned and inside the slices.

    use std::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16,
        _mm256_extracti128_si256, _mm256_madd_epi16, _mm256_setzero_si256, _mm512_dpbusd_epi32,
        _mm512_maskz_loadu_epi8, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_setzero_si512,
        _mm512_xor_si512,
    };

    use super::dot_portable;

    const BYTES_512: usize = 64;
    const BYTES_128: usize = 16;

    /// VNNI multiplies unsigned by signed bytes. Flipping the top bit of a row byte r gives r + 128 unsigned, so each
    /// sum comes out 128 · Σ query too high, which is taken off once at the end.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub(super) fn dot_rows_vnni(query: &[i8], rows: &[i8], out: &mut [i32]) {
        let offset = 128 * query.iter().map(|x| i32::from(*x)).sum::<i32>();
        let flip = _mm512_set1_epi8(i8::MIN);
        for (row, out) in rows.chunks_exact(query.len()).zip(out) {
            let mut sums = _mm512_setzero_si512();
            for (query, row) in query.chunks(BYTES_512).zip(row.chunks(BYTES_512)) {
                let mask = u64::MAX >> (BYTES_512 - query.len());
                #[expect(unsafe_code, reason = "masked loads from slices")]
                // SAFETY: the mask has one bit for each of the `query.len()` bytes of both chunks, which are equally
                // long; bytes outside the mask are not read.
                let (query, row) = unsafe {
                    let query = _mm512_maskz_loadu_epi8(mask, query.as_ptr());
                    (query, _mm512_maskz_loadu_epi8(mask, row.as_ptr()))
                };
                // Masked-off bytes are 128 in the flipped row and 0 in the query: they add nothing.
                sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(row, flip), query);
            }
            *out = _mm512_reduce_add_epi32(sums) - offset;
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dot_rows_avx2(query: &[i8], rows: &[i8], out: &mut [i32]) {
        let (query_blocks, query_rest) = query.as_chunks::<BYTES_128>();
        for (row, out) in rows.chunks_exact(query.len()).zip(out) {
            let (row_blocks, row_rest) = row.as_chunks::<BYTES_128>();
            let mut sums = _mm256_setzero_si256();
            for (query, row) in query_blocks.iter().zip(row_blocks) {
                #[expect(unsafe_code, reason = "loads from slices")]
                // SAFETY: both arrays are 16 bytes long and the load needs no alignment.
                let (query, row) = unsafe {
                    let query = _mm_loadu_si128(query.as_ptr().cast::<__m128i>());
                    (query, _mm_loadu_si128(row.as_ptr().cast::<__m128i>()))
                };
                let products =
                    _mm256_madd_epi16(_mm256_cvtepi8_epi16(query), _mm256_cvtepi8_epi16(row));
                sums = _mm256_add_epi32(sums, products);
            }
            *out = sum_of_lanes(sums) + dot_portable(query_rest, row_rest);
        }
    }

    #[target_feature(enable = "avx2")]
    fn sum_of_lanes(sums: std::arch::x86_64::__m256i) -> i32 {
        use std::arch::x86_64::{_mm_add_epi32, _mm_cvtsi128_si32, _mm_shuffle_epi32};
        let low = _mm256_castsi256_si128(sums);
        let four = _mm_add_epi32(low, _mm256_extracti128_si256::<1>(sums));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b00_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b00_00_00_01>(two)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query_and_rows() -> impl Strategy<Value = (Vec<i8>, Vec<i8>)> {
        (1_usize..200, 0_usize..6).prop_flat_map(|(dim, rows)| {
            let values = |count| prop::collection::vec(any::<i8>(), count);
            (values(dim), values(dim * rows))
        })
    }

    proptest! {
        #[test]
        fn every_level_agrees_to_the_bit((query, rows) in query_and_rows()) {
            let mut naive = vec![0; rows.len() / query.len()];
            dot_rows_portable(&query, &rows, &mut naive);
            for level in Level::available() {
                let mut out = vec![i32::MIN; naive.len()];
                dot_rows_at(level, &query, &rows, &mut out);
                prop_assert_eq!(&out, &naive, "{:?}", level);
            }
        }

        #[test]
        fn quantising_is_off_by_half_a_step_at_most(vector in prop::collection::vec(-5.0_f32..5.0, 0..100)) {
            let quantised = quantise(&vector);
            for (x, q) in vector.iter().zip(&quantised.values) {
                let error = (f32::from(*q) * quantised.scale - x).abs();
                prop_assert!(error <= 0.501 * quantised.scale + 1e-9);
            }
        }
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        let (query, row) = (vec![i8::MIN; DIM_MAX], vec![i8::MIN; DIM_MAX]);
        for level in Level::available() {
            let mut out = [0];
            dot_rows_at(level, &query, &row, &mut out);
            assert_eq!(out[0], 128 * 128 * 32_768);
        }
    }

    #[test]
    fn zero_and_broken_vectors_quantise_to_zero() {
        assert_eq!(quantise(&[0.0, 0.0]), Quantised { values: vec![0, 0], scale: 0.0 });
        assert_eq!(quantise(&[f32::NAN, 1.0]).values, vec![0, 127]);
        assert_eq!(quantise(&[1e-45]).values, vec![0]);
    }
}
