//! Shapes that code cannot be made of.

use upnext_contract::evolution::{Contracts, SourceFile};

use super::shape::Definitions;

#[test]
fn a_union_of_several_types_is_refused_with_its_place() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":["int","string"]}]}"#;
    let file = SourceFile { path: "events/R.avsc".to_owned(), text: text.to_owned() };
    let contracts = Contracts::read(&[file]).unwrap();
    let error = Definitions::read(contracts.schemas.iter()).map(drop).unwrap_err();
    assert_eq!(error, "events/R.avsc: `a`: a union of several types has no counterpart");
}
