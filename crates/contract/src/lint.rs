//! What a foreign schema may not contain: seen once per schema, before anything is decoded with it.
//!
//! A decoder trusts its schema. A recursive one overflows the stack on a few kilobytes, an array of zero-width items
//! turns a hundred bytes into gigabytes, a `fixed` of a terabyte is allocated at once. Whoever can register a
//! schema could stop the daemon so. The lint works on the schema's JSON with the environment of its names, and
//! computes for each type the fewest bytes a value of it takes.

use std::collections::HashMap;

use serde_json::{Map, Value};

pub const SCHEMA_BYTES_MAX: usize = 256 << 10;
pub const DEPTH_MAX: usize = 16;
pub const FIELDS_MAX: usize = 500;
pub const NAME_BYTES_MAX: usize = 128;
pub const FIXED_BYTES_MAX: u64 = 64 << 10;
pub const SYMBOLS_MAX: usize = 1_000;

/// Why a schema is not decoded with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LintFlaw {
    #[error("the schema has {bytes} bytes, more than {SCHEMA_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("`{name}` contains itself")]
    Recursive { name: String },
    #[error("`{place}` takes no bytes, so that its number is bounded by nothing")]
    ZeroWidth { place: String },
    #[error("`{place}` is nested deeper than {DEPTH_MAX}")]
    TooDeep { place: String },
    #[error("the schema has more than {FIELDS_MAX} fields")]
    TooManyFields,
    #[error("the name at `{place}` has more than {NAME_BYTES_MAX} bytes")]
    LongName { place: String },
    #[error("the enum `{place}` has more than {SYMBOLS_MAX} symbols")]
    TooManySymbols { place: String },
    #[error("the fixed `{place}` has more than {FIXED_BYTES_MAX} bytes")]
    LargeFixed { place: String },
    #[error("`{place}` is not an Avro type: {found}")]
    NotAType { place: String, found: String },
}

/// What holding a value of a type takes.
#[derive(Clone, Copy)]
struct Extent {
    /// Fewest bytes on the wire.
    width: u64,
    /// Levels of nesting, references followed.
    depth: usize,
}

const PRIMITIVE: Extent = Extent { width: 1, depth: 1 };

/// Checks a whole schema; `environment` holds the schemas it refers to, in an order in which each is
/// defined before it is used.
///
/// # Errors
/// The first flaw found.
pub fn lint(schema: &Value, environment: &[Value]) -> Result<(), LintFlaw> {
    let mut walk = Walk { known: HashMap::new(), open: Vec::new(), fields: 0 };
    for referenced in environment {
        walk.extent(referenced, Place { path: "", namespace: "", level: 1 })?;
    }
    walk.extent(schema, Place { path: "", namespace: "", level: 1 }).map(drop)
}

/// Where in the schema the walk stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    namespace: &'a str,
    level: usize,
}

impl Place<'_> {
    fn inner<'p>(&'p self, path: &'p str) -> Place<'p> {
        Place { path, namespace: self.namespace, level: self.level + 1 }
    }
}

struct Walk {
    known: HashMap<String, Extent>,
    /// Full names of the definitions the walk is inside of.
    open: Vec<String>,
    fields: usize,
}

impl Walk {
    fn extent(&mut self, schema: &Value, place: Place<'_>) -> Result<Extent, LintFlaw> {
        if place.level > DEPTH_MAX {
            return Err(LintFlaw::TooDeep { place: place.path.to_owned() });
        }
        let found = match schema {
            Value::String(name) => self.named(name, place)?,
            Value::Array(branches) => self.union(branches, place)?,
            Value::Object(object) => self.complex(object, place)?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                return Err(not_a_type(place, schema));
            }
        };
        if found.depth > DEPTH_MAX {
            return Err(LintFlaw::TooDeep { place: place.path.to_owned() });
        }
        Ok(found)
    }

    fn named(&self, name: &str, place: Place<'_>) -> Result<Extent, LintFlaw> {
        if let Some(extent) = primitive(name) {
            return Ok(extent);
        }
        let full_name = full_name(name, place.namespace);
        if self.open.contains(&full_name) {
            return Err(LintFlaw::Recursive { name: full_name });
        }
        match self.known.get(&full_name) {
            Some(extent) => Ok(*extent),
            None => Err(not_a_type(place, &Value::String(name.to_owned()))),
        }
    }

    fn union(&mut self, branches: &[Value], place: Place<'_>) -> Result<Extent, LintFlaw> {
        let mut depth = 0;
        let mut width = u64::MAX;
        for branch in branches {
            let extent = self.extent(branch, place.inner(place.path))?;
            depth = depth.max(extent.depth);
            width = width.min(extent.width);
        }
        let width = if branches.is_empty() { 0 } else { width };
        Ok(Extent { width: width.saturating_add(1), depth: depth + 1 })
    }

    fn complex(
        &mut self,
        object: &Map<String, Value>,
        place: Place<'_>,
    ) -> Result<Extent, LintFlaw> {
        match object.get("type") {
            Some(Value::String(kind)) => match kind.as_str() {
                "record" | "error" | "enum" | "fixed" => self.definition(kind, object, place),
                "array" => self.repeated(object.get("items"), "items", place),
                "map" => self.repeated(object.get("values"), "values", place),
                name => self.named(name, place),
            },
            Some(inner) => self.extent(inner, place.inner(place.path)),
            None => Err(not_a_type(place, &Value::Object(object.clone()))),
        }
    }

    fn repeated(
        &mut self,
        inner: Option<&Value>,
        word: &str,
        place: Place<'_>,
    ) -> Result<Extent, LintFlaw> {
        let path = format!("{}/{word}", place.path);
        let Some(inner) = inner else {
            return Err(not_a_type(place, &Value::Null));
        };
        let extent = self.extent(inner, place.inner(&path))?;
        if extent.width == 0 {
            return Err(LintFlaw::ZeroWidth { place: path });
        }
        Ok(Extent { width: 1, depth: extent.depth + 1 })
    }

    fn definition(
        &mut self,
        kind: &str,
        object: &Map<String, Value>,
        place: Place<'_>,
    ) -> Result<Extent, LintFlaw> {
        let name = text(object, "name");
        if name.len() > NAME_BYTES_MAX {
            return Err(LintFlaw::LongName { place: place.path.to_owned() });
        }
        let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(place.namespace);
        let full_name = full_name(name, namespace);
        let extent = match kind {
            "enum" => symbols(object, place)?,
            "fixed" => fixed(object, place)?,
            _ => self.record(&full_name, object, place)?,
        };
        self.known.insert(full_name, extent);
        Ok(extent)
    }

    fn record(
        &mut self,
        full_name: &str,
        object: &Map<String, Value>,
        place: Place<'_>,
    ) -> Result<Extent, LintFlaw> {
        let namespace = full_name.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        self.open.push(full_name.to_owned());
        let mut extent = Extent { width: 0, depth: 0 };
        for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
            let inner = self.field(field, Place { namespace, ..place })?;
            extent.width = extent.width.saturating_add(inner.width);
            extent.depth = extent.depth.max(inner.depth);
        }
        self.open.pop();
        Ok(Extent { depth: extent.depth + 1, ..extent })
    }

    fn field(&mut self, field: &Value, place: Place<'_>) -> Result<Extent, LintFlaw> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(LintFlaw::TooManyFields);
        }
        let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.len() > NAME_BYTES_MAX {
            return Err(LintFlaw::LongName { place: place.path.to_owned() });
        }
        let path = format!("{}/{name}", place.path);
        let Some(schema) = field.get("type") else {
            return Err(not_a_type(place, field));
        };
        let extent = self.extent(schema, place.inner(&path))?;
        if extent.width == 0 {
            return Err(LintFlaw::ZeroWidth { place: path });
        }
        Ok(extent)
    }
}

fn symbols(object: &Map<String, Value>, place: Place<'_>) -> Result<Extent, LintFlaw> {
    let symbols = object.get("symbols").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if symbols.len() > SYMBOLS_MAX {
        return Err(LintFlaw::TooManySymbols { place: place.path.to_owned() });
    }
    let is_long = |symbol: &Value| symbol.as_str().is_some_and(|s| s.len() > NAME_BYTES_MAX);
    if symbols.iter().any(is_long) {
        return Err(LintFlaw::LongName { place: place.path.to_owned() });
    }
    Ok(PRIMITIVE)
}

fn fixed(object: &Map<String, Value>, place: Place<'_>) -> Result<Extent, LintFlaw> {
    let size = object.get("size").and_then(Value::as_u64).unwrap_or(u64::MAX);
    if size > FIXED_BYTES_MAX {
        return Err(LintFlaw::LargeFixed { place: place.path.to_owned() });
    }
    Ok(Extent { width: size, depth: 1 })
}

fn primitive(name: &str) -> Option<Extent> {
    match name {
        "null" => Some(Extent { width: 0, depth: 1 }),
        "boolean" | "int" | "long" | "bytes" | "string" => Some(PRIMITIVE),
        "float" => Some(Extent { width: 4, depth: 1 }),
        "double" => Some(Extent { width: 8, depth: 1 }),
        _ => None,
    }
}

/// A name as the environment knows it.
pub(crate) fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn not_a_type(place: Place<'_>, found: &Value) -> LintFlaw {
    let mut found = found.to_string();
    found.truncate(found.floor_char_boundary(80));
    LintFlaw::NotAType { place: place.path.to_owned(), found }
}

#[cfg(test)]
mod tests;
