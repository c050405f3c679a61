//! Families of schemas from a seed: a first version, and versions that somebody might make of it.

use std::collections::HashSet;

use super::shape::{Field, Named, Shape};

/// A small generator of numbers (splitmix64), so that a seed means the same everywhere.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn word(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }
}

const PRIMITIVES: [&str; 7] = ["boolean", "int", "long", "float", "double", "bytes", "string"];
const LOGICAL: [(&str, &str); 4] = [
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("int", "date"),
    ("string", "uuid"),
];
const SYMBOLS: [&str; 5] = ["RED", "GREEN", "BLUE", "PINK", "GREY"];

/// Versions of one schema, oldest first: two or three, each different from the ones before.
pub(crate) fn family(seed: u64) -> Vec<Shape> {
    let mut maker = Maker { seed: Seed(seed), names: 0 };
    let mut versions = vec![maker.record(0)];
    let count = 2 + maker.seed.below(2);
    while versions.len() < count {
        let mut next = versions[versions.len() - 1].clone();
        for _ in 0..=maker.seed.below(2) {
            maker.change(&mut next);
        }
        if !versions.contains(&next) {
            versions.push(next);
        }
    }
    versions.iter_mut().for_each(|version| version.settle(&mut HashSet::new()));
    versions.dedup();
    versions
}

struct Maker {
    seed: Seed,
    names: usize,
}

impl Maker {
    fn named(&mut self, prefix: &str) -> Named {
        self.names += 1;
        let (number, name) = (self.names, format!("{prefix}{}", self.names));
        Named { number, name, namespace: None, aliases: Vec::new() }
    }

    fn record(&mut self, depth: usize) -> Shape {
        let mut named = self.named("R");
        if depth == 0 {
            named.namespace = Some("n".to_owned());
        }
        let mut fields: Vec<Field> = (0..=self.seed.below(3)).map(|_| self.field(depth)).collect();
        if self.seed.one_in(3) {
            let field = self.reference(&named, &fields);
            fields.push(field);
        }
        Shape::Record(named, fields)
    }

    /// A field that refers to a type named before it, or to the record itself.
    fn reference(&mut self, record: &Named, fields: &[Field]) -> Field {
        self.names += 1;
        let name = format!("f{}", self.names);
        let mut named = fields.iter().filter_map(|field| field.shape.number());
        let shape = match named.next_back() {
            Some(number) if self.seed.one_in(2) => Shape::Array(Box::new(Shape::Reference(number))),
            Some(number) => Shape::Reference(number),
            None => Shape::Array(Box::new(Shape::Reference(record.number))),
        };
        Field { name, aliases: Vec::new(), shape, has_default: false }
    }

    fn field(&mut self, depth: usize) -> Field {
        self.names += 1;
        let name = format!("f{}", self.names);
        let shape = self.shape(depth + 1);
        Field { name, aliases: Vec::new(), shape, has_default: self.seed.one_in(3) }
    }

    fn shape(&mut self, depth: usize) -> Shape {
        let kinds = if depth > 2 { 5 } else { 10 };
        match self.seed.below(kinds) {
            0..=2 => Shape::Primitive(self.seed.word(&PRIMITIVES)),
            3 => self.enumeration(),
            4 => {
                let named = self.named("F");
                Shape::Fixed(named, 1 + self.seed.below(4))
            }
            5 => {
                let (of, name) = LOGICAL[self.seed.below(LOGICAL.len())];
                Shape::Logical(of, name)
            }
            6 => Shape::Array(Box::new(self.shape(depth + 1))),
            7 => Shape::Map(Box::new(self.shape(depth + 1))),
            8 => self.union(depth),
            _ => self.record(depth),
        }
    }

    fn enumeration(&mut self) -> Shape {
        let named = self.named("E");
        let count = 1 + self.seed.below(4);
        let symbols: Vec<String> = SYMBOLS[..count].iter().map(|word| (*word).to_owned()).collect();
        let default = self.seed.one_in(2).then(|| symbols[0].clone());
        Shape::Enum(named, symbols, default)
    }

    fn union(&mut self, depth: usize) -> Shape {
        let mut branches = vec![Shape::Primitive("null")];
        for _ in 0..=self.seed.below(2) {
            let branch = self.shape(depth + 1);
            if fits(&branches, &branch) {
                branches.push(branch);
            }
        }
        if self.seed.one_in(3) {
            branches.rotate_left(1);
        }
        Shape::Union(branches)
    }

    /// One change somewhere in the shape.
    fn change(&mut self, shape: &mut Shape) {
        match shape {
            Shape::Record(named, fields) => {
                if self.seed.one_in(10) {
                    self.rename(named);
                    return;
                }
                match self.seed.below(8) {
                    0 => {
                        let field = self.field(1);
                        fields.push(field);
                    }
                    1 if fields.len() > 1 => {
                        let at = self.seed.below(fields.len());
                        fields.remove(at);
                    }
                    2 if fields.len() > 1 => fields.rotate_left(1),
                    _ if fields.is_empty() => {}
                    _ => {
                        let at = self.seed.below(fields.len());
                        self.change_field(&mut fields[at]);
                    }
                }
            }
            Shape::Enum(named, symbols, default) => self.change_enum(named, symbols, default),
            Shape::Fixed(named, size) => {
                if self.seed.one_in(2) {
                    *size += 1;
                } else {
                    self.rename(named);
                }
            }
            Shape::Array(inner) | Shape::Map(inner) => self.change(inner),
            Shape::Union(branches) => self.change_union(branches),
            Shape::Primitive(_) | Shape::Logical(..) | Shape::Reference(_) => {
                *shape = self.other(shape);
            }
        }
    }

    fn change_field(&mut self, field: &mut Field) {
        match self.seed.below(6) {
            0 => field.has_default = !field.has_default,
            1 => {
                let former = std::mem::replace(&mut field.name, format!("g{}", self.names));
                self.names += 1;
                if self.seed.one_in(2) {
                    field.aliases.push(former);
                }
            }
            2 => {
                let inner = std::mem::replace(&mut field.shape, Shape::Primitive("null"));
                field.shape = with_or_without_null(inner);
            }
            _ => self.change(&mut field.shape),
        }
    }

    fn change_enum(
        &mut self,
        named: &mut Named,
        symbols: &mut Vec<String>,
        default: &mut Option<String>,
    ) {
        match self.seed.below(5) {
            0 if symbols.len() < SYMBOLS.len() => {
                symbols.push(SYMBOLS[symbols.len()].to_owned());
            }
            1 if symbols.len() > 1 => {
                symbols.pop();
                *default = default.take().filter(|word| symbols.contains(word));
            }
            2 => *default = if default.is_none() { Some(symbols[0].clone()) } else { None },
            3 => self.rename(named),
            _ => symbols.reverse(),
        }
    }

    fn change_union(&mut self, branches: &mut Vec<Shape>) {
        match self.seed.below(4) {
            0 => {
                let branch = self.shape(2);
                if fits(branches, &branch) {
                    branches.push(branch);
                }
            }
            1 if branches.len() > 1 => {
                let at = self.seed.below(branches.len());
                branches.remove(at);
            }
            2 => branches.rotate_left(1),
            _ => {
                let at = self.seed.below(branches.len());
                let mut branch = branches.remove(at);
                let before = branch.clone();
                self.change(&mut branch);
                branches.push(if fits(branches, &branch) { branch } else { before });
            }
        }
    }

    /// Another type: mostly one that Avro promotes from or to.
    fn other(&mut self, shape: &Shape) -> Shape {
        let word = if let Shape::Primitive(word) = shape { word } else { "" };
        let near: &[&'static str] = match word {
            "int" => &["long", "float", "double"],
            "long" => &["int", "float", "double"],
            "float" => &["double", "long"],
            "double" => &["float"],
            "string" => &["bytes"],
            "bytes" => &["string"],
            _ => &["string", "long"],
        };
        if self.seed.one_in(4) { self.shape(2) } else { Shape::Primitive(self.seed.word(near)) }
    }

    fn rename(&mut self, named: &mut Named) {
        let former = match &named.namespace {
            Some(namespace) => format!("{namespace}.{}", named.name),
            None => named.name.clone(),
        };
        if named.namespace.is_some() && self.seed.one_in(2) {
            named.namespace = Some("m".to_owned());
        } else {
            self.names += 1;
            named.name = format!("{}x{}", &named.name[..1], self.names);
        }
        if self.seed.one_in(2) {
            named.aliases.push(former);
        }
    }
}

/// A union of null and the shape; of a union, its second branch.
pub(crate) fn with_or_without_null(shape: Shape) -> Shape {
    match shape {
        Shape::Union(mut branches) if branches.len() > 1 => branches.swap_remove(1),
        kept @ (Shape::Union(_) | Shape::Primitive("null")) => kept,
        other @ (Shape::Primitive(_)
        | Shape::Logical(..)
        | Shape::Array(_)
        | Shape::Map(_)
        | Shape::Record(..)
        | Shape::Enum(..)
        | Shape::Fixed(..)
        | Shape::Reference(_)) => Shape::Union(vec![Shape::Primitive("null"), other]),
    }
}

/// Whether a union may take the branch: no unions, and no second one of a kind.
pub(crate) fn fits(branches: &[Shape], branch: &Shape) -> bool {
    let kind = |shape: &Shape| match shape {
        Shape::Primitive(name) | Shape::Logical(name, _) => (*name).to_owned(),
        Shape::Array(_) => "array".to_owned(),
        Shape::Map(_) => "map".to_owned(),
        Shape::Union(_) => "union".to_owned(),
        Shape::Record(named, _) | Shape::Enum(named, ..) | Shape::Fixed(named, _) => {
            named.number.to_string()
        }
        Shape::Reference(number) => number.to_string(),
    };
    let wanted = kind(branch);
    wanted != "union" && branches.iter().all(|known| kind(known) != wanted)
}
