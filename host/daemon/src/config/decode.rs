//! From a merged tree of values to settings, going on after a mistake so that all of them are found.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};
use wasmail_server::Address;

use super::mistake::Mistakes;
use super::place::KeyPath;

/// A setting, or a table of settings.
pub(crate) trait Decode: Sized {
    /// What is expected, for the mistake that it is not there.
    const EXPECTED: &'static str;

    /// Reads the value; none when it is wrong, which the mistakes then say.
    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self>;

    /// Reads the value where the keys that it does not have are those of another.
    fn decode_over(_below: &Self, value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        Self::decode(value, at, mistakes)
    }

    /// What stands in for a missing key, where it may be missing.
    fn missing() -> Option<Self> {
        None
    }

    /// Adds every key below, lists as if they had one element: with it a test keeps the reference complete.
    #[cfg_attr(not(test), allow(dead_code, reason = "the reference is kept complete by a test"))]
    fn keys(_at: &KeyPath, _into: &mut Vec<KeyPath>) {}
}

/// A JSON object kept as it is, for a plugin to read.
pub(crate) type Table = Map<String, Value>;

/// Opens a table, and says which of its keys are unknown.
pub(crate) fn open<'v>(value: &'v Value, at: &KeyPath, known: &[&str], mistakes: &mut Mistakes) -> Option<&'v Table> {
    let Some(table) = value.as_object() else {
        wrong_type(value, at, "a table", mistakes);
        return None;
    };
    for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
        let help = match nearest(key, known) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the keys here are {}", known.join(", ")),
        };
        mistakes.add_with_help(&at.key(key), "unknown key", help);
    }
    Some(table)
}

/// Reads one key of a table; a missing one is a mistake unless something stands in for it.
pub(crate) fn field<T: Decode>(
    table: &Table,
    at: &KeyPath,
    key: &str,
    default: Option<T>,
    mistakes: &mut Mistakes,
) -> Option<T> {
    match table.get(key) {
        Some(value) => T::decode(value, &at.key(key), mistakes),
        None => default.or_else(T::missing).or_else(|| {
            mistakes.add(&at.key(key), format!("missing; expected {}", T::EXPECTED));
            None
        }),
    }
}

/// The known name that was probably meant, when one is near enough.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known));
    let (distance, best) = scored.min()?;
    (distance <= 1 + name.len() / 4).then_some(best)
}

pub(crate) fn wrong_type(value: &Value, at: &KeyPath, expected: &str, mistakes: &mut Mistakes) {
    let found = match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(value) => format!("the text {value:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    };
    mistakes.add(at, format!("expected {expected}, found {found}"));
}

/// A table of settings: a struct, how it is read, and the names of its keys.
macro_rules! section {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: $type,)*
        }

        impl $crate::config::decode::Decode for $name {
            const EXPECTED: &'static str = "a table";

            fn decode(
                value: &serde_json::Value,
                at: &$crate::config::place::KeyPath,
                mistakes: &mut $crate::config::mistake::Mistakes,
            ) -> Option<Self> {
                use $crate::config::decode::{field, open};
                let table = open(value, at, &[$(stringify!($field)),*], mistakes)?;
                $(
                    #[allow(unused_mut, unused_assignments, reason = "not every key has a default")]
                    let mut default: Option<$type> = None;
                    $(default = Some($default);)?
                    let $field = field(table, at, stringify!($field), default, mistakes);
                )*
                Some(Self { $($field: $field?,)* })
            }

            fn decode_over(
                below: &Self,
                value: &serde_json::Value,
                at: &$crate::config::place::KeyPath,
                mistakes: &mut $crate::config::mistake::Mistakes,
            ) -> Option<Self> {
                use $crate::config::decode::{field, open};
                let table = open(value, at, &[$(stringify!($field)),*], mistakes)?;
                $(let $field = field(table, at, stringify!($field), Some(below.$field.clone()), mistakes);)*
                Some(Self { $($field: $field?,)* })
            }

            fn keys(
                at: &$crate::config::place::KeyPath,
                into: &mut Vec<$crate::config::place::KeyPath>,
            ) {
                $(
                    into.push(at.key(stringify!($field)));
                    <$type as $crate::config::decode::Decode>::keys(&at.key(stringify!($field)), into);
                )*
            }
        }
    };
}

/// A choice between names.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$case_meta:meta])* $case:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$case_meta])* $case,)*
        }

        impl $crate::config::decode::Decode for $name {
            const EXPECTED: &'static str = concat!("one of", $(" `", $text, "`",)*);

            fn decode(
                value: &serde_json::Value,
                at: &$crate::config::place::KeyPath,
                mistakes: &mut $crate::config::mistake::Mistakes,
            ) -> Option<Self> {
                match value.as_str() {
                    $(Some($text) => Some(Self::$case),)*
                    _ => {
                        $crate::config::decode::wrong_type(value, at, Self::EXPECTED, mistakes);
                        None
                    }
                }
            }
        }
    };
}

pub(crate) use {choice, section};

impl<T: Decode> Decode for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        T::decode(value, at, mistakes).map(Some)
    }

    fn missing() -> Option<Self> {
        Some(None)
    }

    fn keys(at: &KeyPath, into: &mut Vec<KeyPath>) {
        T::keys(at, into);
    }
}

impl<T: Decode> Decode for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        let Some(list) = value.as_array() else {
            wrong_type(value, at, Self::EXPECTED, mistakes);
            return None;
        };
        let decoded: Vec<_> =
            list.iter().enumerate().map(|(index, value)| T::decode(value, &at.index(index), mistakes)).collect();
        decoded.into_iter().collect()
    }

    fn keys(at: &KeyPath, into: &mut Vec<KeyPath>) {
        T::keys(&at.index(0), into);
    }
}

impl Decode for Table {
    const EXPECTED: &'static str = "a table";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        let table = value.as_object().cloned();
        if table.is_none() {
            wrong_type(value, at, Self::EXPECTED, mistakes);
        }
        table
    }
}

impl Decode for bool {
    const EXPECTED: &'static str = "true or false";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        let flag = value.as_bool();
        if flag.is_none() {
            wrong_type(value, at, Self::EXPECTED, mistakes);
        }
        flag
    }
}

/// Whole numbers, each with its range in the message.
macro_rules! whole_number {
    ($($type:ty: $expected:literal,)*) => {
        $(impl Decode for $type {
            const EXPECTED: &'static str = $expected;

            fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
                let number = value.as_u64().and_then(|number| Self::try_from(number).ok());
                if number.is_none() {
                    wrong_type(value, at, Self::EXPECTED, mistakes);
                }
                number
            }
        })*
    };
}

whole_number! {
    u16: "a whole number from 0 to 65535",
    u32: "a whole number from 0 to 4294967295",
    u64: "a whole number from 0",
    usize: "a whole number from 0",
}

impl Decode for f64 {
    const EXPECTED: &'static str = "a number";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        let number = value.as_f64();
        if number.is_none() {
            wrong_type(value, at, Self::EXPECTED, mistakes);
        }
        number
    }
}

/// What is written as text and has a grammar of its own.
fn parsed<T, E: std::fmt::Display>(
    value: &Value,
    at: &KeyPath,
    mistakes: &mut Mistakes,
    expected: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let Some(text) = value.as_str() else {
        wrong_type(value, at, expected, mistakes);
        return None;
    };
    parse(text).map_err(|error| mistakes.add(at, format!("expected {expected}, found {text:?}: {error}"))).ok()
}

impl Decode for String {
    const EXPECTED: &'static str = "text";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, |text| Ok::<_, String>(text.to_owned()))
    }
}

impl Decode for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, |text| match text {
            "" => Err("it is empty"),
            _ => Ok(Self::from(text)),
        })
    }
}

impl Decode for Address {
    const EXPECTED: &'static str =
        "an IP address and port such as \"127.0.0.1:25\" or \"[::1]:25\", or \"unix:/run/wasmail/lmtp\"";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, str::parse)
    }
}

/// Permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

impl Decode for Mode {
    const EXPECTED: &'static str = "permissions such as \"0660\"";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, |text| match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => Err("it is no octal number up to 0777"),
        })
    }
}

impl Decode for SocketAddr {
    const EXPECTED: &'static str = "an IP address and port such as \"127.0.0.1:25\" or \"[::1]:25\"";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, str::parse)
    }
}

impl Decode for IpAddr {
    const EXPECTED: &'static str = "an IP address such as \"127.0.0.1\" or \"::1\"";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, str::parse)
    }
}

impl Decode for IpNet {
    const EXPECTED: &'static str = "a network such as \"192.0.2.0/24\" or \"2001:db8::/32\", or an IP address";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, |text| {
            text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error))
        })
    }
}

impl Decode for Duration {
    const EXPECTED: &'static str = "a duration such as \"30s\" or \"5m\"";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        parsed(value, at, mistakes, Self::EXPECTED, humantime::parse_duration)
    }
}

/// A number of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// As a length in memory.
    pub(crate) fn len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Decode for Size {
    const EXPECTED: &'static str = "a size in octets such as 65536, \"64KiB\" or \"50MB\"";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        match value.as_u64() {
            Some(octets) => Some(Self(octets)),
            None => parsed(value, at, mistakes, Self::EXPECTED, size).map(Self),
        }
    }
}

fn size(text: &str) -> Result<u64, &'static str> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("", 1),
    ];
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = text[digits.len()..].trim();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or("the units are KB, MB, GB, KiB, MiB, GiB")?;
    let number: u64 = digits.parse().map_err(|_| "it does not begin with a whole number")?;
    number.checked_mul(*factor).ok_or("it is too large")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    section! {
        /// A table.
        Sample {
            /// One.
            message_size: Size,
            /// Two.
            idle: Option<Duration>,
            /// Three.
            addresses: Vec<SocketAddr> = Vec::new(),
        }
    }

    fn decode(value: &Value) -> (Option<Sample>, Vec<(String, String)>) {
        let mut mistakes = Mistakes::default();
        let sample = Sample::decode(value, &KeyPath::default(), &mut mistakes);
        let said = mistakes.of(super::super::mistake::Severity::Mistake);
        (sample, said.map(|mistake| (mistake.at.to_string(), mistake.what.clone())).collect())
    }

    #[test]
    fn every_mistake_is_found() {
        let (sample, said) =
            decode(&json!({ "mesage_size": 1, "idle": 30, "addresses": ["127.0.0.1:25", "localhost", "::1"] }));
        assert!(sample.is_none());
        let keys: Vec<_> = said.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["mesage_size", "message_size", "idle", "addresses[1]", "addresses[2]"]);
        assert_eq!(said[0].1, "unknown key");
        assert!(
            said[2].1.starts_with("expected a duration such as \"30s\" or \"5m\", found the number 30"),
            "{said:?}"
        );
    }

    #[test]
    fn a_missing_key_takes_what_stands_in_for_it() {
        let (sample, said) = decode(&json!({ "message_size": "50MB" }));
        assert_eq!(said, []);
        let sample = sample.expect("nothing is wrong");
        assert_eq!((sample.message_size, sample.idle, sample.addresses), (Size(50_000_000), None, vec![]));
    }

    #[test]
    fn a_size_has_units() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("3 MB"), Ok(3_000_000));
        assert_eq!(size("17"), Ok(17));
        assert!(size("MB").is_err() && size("5 parsecs").is_err() && size("99999999999GB").is_err());
        assert!(size("-1KB").is_err() && size("1.5MB").is_err());
    }

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(nearest("hostnmae", &["hostname", "data_dir"]), Some("hostname"));
        assert_eq!(nearest("colour", &["hostname", "data_dir"]), None);
    }

    #[test]
    fn keys_are_listed_with_those_below() {
        let mut keys = Vec::new();
        Vec::<Sample>::keys(&KeyPath::of(&["sample"]), &mut keys);
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(keys, ["sample[0].message_size", "sample[0].idle", "sample[0].addresses"]);
    }
}
