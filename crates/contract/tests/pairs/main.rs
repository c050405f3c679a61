//! What `compat` accepts can be read: generated schemas, values of the one decoded with the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod shape;
mod generate;
mod values;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use upnext_contract::compat::{Types, can_read};

use shape::Shape;
use values::Values;

const VALUES_PER_PAIR: u64 = 4;

/// Writes values of one schema and reads them with the other: what the codec says when it cannot.
fn read_back(reader: &Shape, writer: &Shape, seed: u64) -> Result<(), String> {
    let parse = |shape: &Shape| Schema::parse_str(&shape.json().to_string()).unwrap();
    let (reader, writer) = (&reader.bare(), &writer.seen_by(reader).bare());
    let (ours, theirs) = (parse(reader), parse(writer));
    let out = GenericDatumWriter::builder(&theirs).build().unwrap();
    let decoder = GenericDatumReader::builder(&theirs).reader_schema(&ours).build();
    let decoder = decoder.map_err(|error| format!("no decoder: {error}"))?;
    for nth in 0..VALUES_PER_PAIR {
        let value = Values::new(seed ^ nth, writer).of(writer, 0);
        let bytes = out.write_value_to_vec(value.clone()).unwrap();
        decoder.read_value(&mut bytes.as_slice()).map_err(|error| format!("{error}: {value:?}"))?;
    }
    Ok(())
}

fn types(shape: &Shape) -> Types {
    Types::parse(&shape.json().to_string(), &[]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_accepted_is_read(seed in any::<u64>()) {
        let versions = generate::family(seed);
        for reader in &versions {
            for writer in &versions {
                if can_read(&types(reader), &types(writer)).is_err() {
                    continue;
                }
                let read = read_back(reader, writer, seed);
                prop_assert!(
                    read.is_ok(),
                    "{:?}\nreader {}\nwriter {}",
                    read, reader.json(), writer.json()
                );
            }
        }
    }
}

#[test]
fn the_generator_gives_both_answers_and_the_same_for_a_seed() {
    let mut answers = [0, 0];
    for seed in 0..200 {
        let versions = generate::family(seed);
        assert_eq!(versions, generate::family(seed));
        let accepted =
            can_read(&types(&versions[versions.len() - 1]), &types(&versions[0])).is_ok();
        answers[usize::from(accepted)] += 1;
    }
    assert!(answers.iter().all(|count| *count > 50), "{answers:?}");
}

#[test]
fn no_union_has_two_branches_of_a_kind() {
    let primitive = |name| Shape::Primitive(name);
    let null_last = Shape::Union(vec![primitive("string"), primitive("null")]);
    let null = generate::with_or_without_null(null_last);
    assert_eq!(null, primitive("null"));
    assert_eq!(generate::with_or_without_null(null.clone()), null);
    // Two that refer to nothing become texts.
    let branches = vec![primitive("null"), Shape::Reference(1), primitive("string")];
    let mut settled = Shape::Union(branches);
    settled.settle(&mut std::collections::HashSet::new());
    assert_eq!(settled, Shape::Union(vec![primitive("null"), primitive("string")]));
    for seed in 0..2_000 {
        for version in generate::family(seed) {
            let text = version.bare().json().to_string();
            assert!(Schema::parse_str(&text).is_ok(), "{seed}: {text}");
        }
    }
}
