//! A field we do not read: passed over, yet held to its type as the long way would.

use apache_avro::schema::Schema;

use super::cursor::Cursor;

#[derive(Debug)]
pub(super) enum Skip {
    Null,
    Boolean,
    Int,
    Long,
    /// A width that never changes: float, double, fixed.
    Width(usize),
    Bytes,
    Text,
    /// Number of symbols.
    Enum(usize),
    List(Box<Skip>),
    Map(Box<Skip>),
    Union(Vec<Skip>),
    Record(Vec<Skip>),
}

impl Skip {
    /// `None` for types that are rare among events, or decode to more than their bytes.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's list of schemas")]
    pub(super) fn of(schema: &Schema) -> Option<Self> {
        Some(match schema {
            Schema::Null => Self::Null,
            Schema::Boolean => Self::Boolean,
            Schema::Int => Self::Int,
            Schema::Long
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos => Self::Long,
            Schema::Float => Self::Width(4),
            Schema::Double => Self::Width(8),
            Schema::Fixed(fixed) => Self::Width(fixed.size),
            Schema::Bytes => Self::Bytes,
            Schema::String => Self::Text,
            Schema::Enum(kind) => Self::Enum(kind.symbols.len()),
            Schema::Array(list) => Self::List(Box::new(Self::of(&list.items)?)),
            Schema::Map(map) => Self::Map(Box::new(Self::of(&map.types)?)),
            Schema::Union(union) => {
                Self::Union(union.variants().iter().map(Self::of).collect::<Option<_>>()?)
            }
            Schema::Record(record) => {
                let fields = record.fields.iter().map(|field| Self::of(&field.schema));
                Self::Record(fields.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    pub(super) fn pass(&self, from: &mut Cursor<'_>) -> Option<()> {
        match self {
            Self::Null => {}
            Self::Boolean => drop(from.byte().filter(|byte| *byte <= 1)?),
            Self::Int => drop(from.int()?),
            Self::Long => drop(from.long()?),
            Self::Width(bytes) => drop(from.take(*bytes)?),
            Self::Bytes => drop(from.bytes()?),
            Self::Text => drop(from.str()?),
            Self::Enum(symbols) => drop(from.index().filter(|index| index < symbols)?),
            Self::List(items) => from.blocks(|from| items.pass(from))?,
            Self::Map(values) => from.blocks(|from| {
                from.str()?;
                values.pass(from)
            })?,
            Self::Union(branches) => branches.get(from.index()?)?.pass(from)?,
            Self::Record(fields) => {
                for field in fields {
                    field.pass(from)?;
                }
            }
        }
        Some(())
    }
}
