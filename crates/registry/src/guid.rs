//! The name of a schema that is the same in every registry: MD5 over its text and what it refers to, written as a UUID.
//! Confluent's registries derive it so, and newer clients send it in a header instead of the id.

use uuid::Uuid;

use crate::schemas::Written;

/// The GUID of a schema as it was registered.
pub(crate) fn guid(written: &Written) -> Uuid {
    let mut bytes = written.text.clone().into_bytes();
    for reference in &written.references {
        bytes.extend_from_slice(reference.name.as_bytes());
        bytes.extend_from_slice(reference.subject.as_bytes());
        bytes.extend_from_slice(&reference.version.to_be_bytes());
    }
    Uuid::from_bytes(md5(&bytes))
}

/// RFC 1321. A name, not a secret: nothing here relies on its strength.
fn md5(message: &[u8]) -> [u8; 16] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = u64::try_from(message.len()).unwrap_or(u64::MAX).wrapping_mul(8);
    padded.extend_from_slice(&bits.to_le_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let (blocks, _) = padded.as_chunks::<64>();
    for block in blocks {
        absorb(&mut state, block);
    }
    let mut digest = [0; 16];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

fn absorb(state: &mut [u32; 4], block: &[u8; 64]) {
    let (words, _) = block.as_chunks::<4>();
    let [mut a, mut b, mut c, mut d] = *state;
    for round in 0..64_usize {
        let (mixed, word) = match round / 16 {
            0 => ((b & c) | (!b & d), round),
            1 => ((d & b) | (!d & c), (5 * round + 1) % 16),
            2 => (b ^ c ^ d, (3 * round + 5) % 16),
            _ => (c ^ (b | !d), (7 * round) % 16),
        };
        let sum = a
            .wrapping_add(mixed)
            .wrapping_add(sine(round))
            .wrapping_add(u32::from_le_bytes(words[word]));
        let turned = sum.rotate_left(SHIFTS[round / 16][round % 4]);
        (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

/// The whole part of 2^32 times the sine of `round` + 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the constant is defined as the whole part of a number between 0 and 2^32"
)]
fn sine(round: usize) -> u32 {
    (((round + 1) as f64).sin().abs() * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(Uuid::from_bytes(md5(message.as_bytes())).to_string(), expected, "{message}");
    }

    #[test]
    fn digests_are_those_of_the_rfc() {
        check("", "d41d8cd9-8f00-b204-e980-0998ecf8427e");
        check("abc", "90015098-3cd2-4fb0-d696-3f7d28e17f72");
        check("message digest", "f96b697d-7cb7-938d-525a-2f31aaf161d0");
        let long = "1234567890".repeat(8);
        check(&long, "57edf4a2-2be3-c955-ac49-da2e2107b67a");
    }

    #[test]
    fn a_plain_schema_has_the_guid_that_confluents_registry_gives_it() {
        let text = r#"{"type":"record","name":"myrecord","fields":[{"type":"string","default":null,"name":"f"}]}"#;
        let written = Written { text: text.to_owned(), references: Vec::new() };
        assert_eq!(guid(&written).to_string(), "1d20cbb9-e5e3-5e97-54e7-da170b6e5ddb");
    }
}
