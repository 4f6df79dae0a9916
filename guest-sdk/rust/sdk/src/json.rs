//! Reads types from JSON, and says where a mistake stands.
//!
//! serde_json alone tells line and column of a text that nobody has written; and its errors carry the formatting of
//! floating-point numbers into every component, which is a fifth of a small one.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_json::Value;

/// Reads a value of a type from JSON text.
///
/// # Errors
/// Says which member is wrong and what about it.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    let value: Value = serde_json::from_str(text).map_err(|_| Mistake::custom("malformed JSON"))?;
    T::deserialize(Place { value: &value, path: &Path::Root })
}

/// What is wrong, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Mistake {
    /// Such as `networks[1]`; empty until it is known, and for the whole.
    path: String,
    text: String,
}

impl Mistake {
    /// The innermost place that hears of a mistake is where it stands.
    fn at(mut self, path: &Path<'_>) -> Self {
        if self.path.is_empty() {
            self.path = path.to_string();
        }
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for Mistake {}

impl Error for Mistake {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self { path: String::new(), text: text.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("{} where {expected} is expected", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "a text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        _ => "something else",
    }
}

/// The way to a value.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

/// A value with the way to it.
#[derive(Clone, Copy)]
struct Place<'a> {
    value: &'a Value,
    path: &'a Path<'a>,
}

impl Place<'_> {
    /// A type may find a mistake when it has taken the value: that one stands here, too.
    fn give<'de, T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        seed.deserialize(self).map_err(|mistake| mistake.at(self.path))
    }
}

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let visited = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(list) => List { items: list.iter(), path: self.path, at: 0 }.visit(visitor),
            Value::Object(map) => visitor.visit_map(Table { members: map.iter(), path: self.path, member: None }),
        };
        visited.map_err(|mistake| mistake.at(self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    /// A variant is its name, or a table of its name and its content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let visited = match self.value {
            Value::String(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            Value::Object(map) if map.len() == 1 => match map.iter().next() {
                Some((name, value)) => {
                    let path = &Path::Key(self.path, name);
                    visitor.visit_enum(Variant { name, content: Place { value, path } })
                }
                None => return self.deserialize_any(visitor),
            },
            _ => return self.deserialize_any(visitor),
        };
        visited.map_err(|mistake| mistake.at(self.path))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct List<'a> {
    items: std::slice::Iter<'a, Value>,
    path: &'a Path<'a>,
    at: usize,
}

impl List<'_> {
    fn visit<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Mistake> {
        let value = visitor.visit_seq(&mut self)?;
        if self.items.len() == 0 { Ok(value) } else { Err(Mistake::custom("the list is too long")) }
    }
}

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let path = Path::Index(self.path, self.at);
        self.at += 1;
        Place { value, path: &path }.give(seed).map(Some)
    }
}

struct Table<'a> {
    members: serde_json::map::Iter<'a>,
    path: &'a Path<'a>,
    /// The member whose key was read and whose value was not.
    member: Option<(&'a str, &'a Value)>,
}

impl<'de> MapAccess<'de> for Table<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.member = Some((key, value));
        let name: StrDeserializer<'_, Mistake> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mistake| mistake.at(&Path::Key(self.path, key)))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mistake> {
        let (key, value) = self.member.take().ok_or_else(|| Mistake::custom("a value without a key"))?;
        Place { value, path: &Path::Key(self.path, key) }.give(seed)
    }
}

struct Variant<'a> {
    name: &'a str,
    content: Place<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Mistake;
    type Variant = Place<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Place<'a>), Mistake> {
        let name: StrDeserializer<'_, Mistake> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Place<'_> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        serde::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        self.give(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct All {
        flag: bool,
        small: u8,
        real: f64,
        maybe: Option<i32>,
        pair: (u8, String),
        table: BTreeMap<String, Vec<Shape>>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Shape {
        Point,
        Circle(u32),
        Box { width: u32 },
    }

    const GOOD: &str = r#"{"flag": true, "small": 7, "real": 1.5, "maybe": -3, "pair": [1, "a"],
        "table": {"a": ["point", {"circle": 5}, {"box": {"width": 2}}], "b": []}}"#;

    fn mistake(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        read::<All>(&GOOD.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn types_of_all_kinds_are_read() {
        let shapes = vec![Shape::Point, Shape::Circle(5), Shape::Box { width: 2 }];
        let table = [("a".to_owned(), shapes), ("b".to_owned(), vec![])].into();
        let all = All { flag: true, small: 7, real: 1.5, maybe: Some(-3), pair: (1, "a".into()), table };
        assert_eq!(read::<All>(GOOD), Ok(all));
        assert_eq!(read::<All>(&GOOD.replace(r#""maybe": -3, "#, "")).unwrap().maybe, None);
        assert_eq!(read::<All>(&GOOD.replace("-3", "null")).unwrap().maybe, None);
        assert_eq!(read::<All>(&GOOD.replace("1.5", "2")).unwrap().real, 2.0);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        assert_eq!(mistake("true", "1"), "flag: a whole number where a boolean is expected");
        assert_eq!(mistake(": 7", ": 300"), "small: a whole number where u8 is expected");
        assert_eq!(mistake("1.5", "\"x\""), "real: a text where f64 is expected");
        assert_eq!(mistake("-3", "1.5"), "maybe: a number where i32 is expected");
        assert_eq!(mistake("1, \"a\"", "1"), "pair: invalid length 1, expected a tuple of size 2");
        assert_eq!(mistake("\"a\"]", "\"a\", 2]"), "pair: the list is too long");
        assert_eq!(mistake("\"a\"]", "{}]"), "pair[1]: a table where a string is expected");
        assert_eq!(mistake("\"b\": []", "\"b\": 1"), "table.b: a whole number where a sequence is expected");
        assert_eq!(mistake("\"circle\": 5", "\"circle\": null"), "table.a[1].circle: nothing where u32 is expected");
        assert_eq!(mistake("\"width\": 2", ""), "table.a[2].box: missing field `width`");
        assert!(mistake("\"point\"", "\"dot\"").starts_with("table.a[0]: unknown variant `dot`, expected "));
        assert!(mistake("flag", "falg").starts_with("falg: unknown field `falg`, expected one of `flag`"));
        assert_eq!(mistake("\"flag\": true, ", ""), "missing field `flag`");
        assert_eq!(mistake("true", "tru"), "malformed JSON");
    }
}
