//! Notes: JSON that plugins leave for one another (RFC 8259), addressed by JSON Pointer (RFC 6901).

use std::fmt;

use serde_json::{Map, Value};

/// Octets of JSON in one scope: room for what policy needs to remember, small enough for ten thousand connections.
const OCTETS_MAX: usize = 64 * 1024;
/// Steps in a pointer, and nesting of a value.
const DEPTH_MAX: usize = 16;
/// Octets in a pointer.
const POINTER_MAX: usize = 512;

/// The notes of one scope: a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Notes {
    root: Value,
}

impl Default for Notes {
    fn default() -> Self {
        Self { root: Value::Object(Map::new()) }
    }
}

impl Notes {
    /// The value at a pointer; the empty pointer names the whole object.
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        self.root.pointer(pointer)
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.as_object().is_none_or(Map::is_empty)
    }

    pub(crate) fn to_json(&self) -> String {
        self.root.to_string()
    }

    pub(crate) fn from_json(root: Value) -> Self {
        if root.is_object() { Self { root } } else { Self::default() }
    }

    /// Sets the value at a pointer. Objects that are missing on the way are made; in an array an index must exist, or
    /// be `-` to append.
    ///
    /// # Errors
    /// When the pointer is malformed or goes through a value that has no members, or a limit is passed. The notes are
    /// then in no defined state: work on a copy.
    pub fn set(&mut self, pointer: &str, value: Value) -> Result<(), NoteError> {
        if !depth_within(&value, DEPTH_MAX) {
            return Err(NoteError::TooDeep);
        }
        let tokens = tokens(pointer)?;
        let mut place = &mut self.root;
        for token in &tokens {
            place = member(place, token)?;
        }
        *place = value;
        if octets(&self.root) > OCTETS_MAX { Err(NoteError::Full) } else { Ok(()) }
    }

    /// Removes the value at a pointer. Returns whether there was one.
    ///
    /// # Errors
    /// When the pointer is malformed.
    pub fn remove(&mut self, pointer: &str) -> Result<bool, NoteError> {
        let mut tokens = tokens(pointer)?;
        let Some(last) = tokens.pop() else { return Err(NoteError::Root) };
        let parent = &pointer[..pointer.rfind('/').unwrap_or(0)];
        Ok(match self.root.pointer_mut(parent) {
            Some(Value::Object(map)) => map.remove(&last).is_some(),
            Some(Value::Array(list)) => match last.parse::<usize>() {
                Ok(index) if index < list.len() => {
                    list.remove(index);
                    true
                }
                _ => false,
            },
            _ => false,
        })
    }
}

/// The reference tokens of a pointer, unescaped (RFC 6901 §4).
fn tokens(pointer: &str) -> Result<Vec<String>, NoteError> {
    if pointer.is_empty() {
        return Err(NoteError::Root);
    }
    if pointer.len() > POINTER_MAX {
        return Err(NoteError::PointerTooLong);
    }
    let Some(rest) = pointer.strip_prefix('/') else { return Err(NoteError::Pointer) };
    // `~` begins `~0` or `~1` and nothing else.
    if rest.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
        return Err(NoteError::Pointer);
    }
    let tokens: Vec<String> = rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    if tokens.len() > DEPTH_MAX { Err(NoteError::TooDeep) } else { Ok(tokens) }
}

/// The member of a value that a token names, made if it is missing.
fn member<'a>(place: &'a mut Value, token: &str) -> Result<&'a mut Value, NoteError> {
    if place.is_null() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(map) => Ok(map.entry(token).or_insert(Value::Null)),
        Value::Array(list) => {
            let index = match token {
                "-" => {
                    list.push(Value::Null);
                    list.len() - 1
                }
                _ => token.parse().map_err(|_| NoteError::NoSuchPlace)?,
            };
            list.get_mut(index).ok_or(NoteError::NoSuchPlace)
        }
        _ => Err(NoteError::NoSuchPlace),
    }
}

pub(crate) fn depth_within(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(list) => depth > 0 && list.iter().all(|item| depth_within(item, depth - 1)),
        Value::Object(map) => depth > 0 && map.values().all(|item| depth_within(item, depth - 1)),
        _ => true,
    }
}

/// Roughly the octets of a value's JSON text; cheap, for limits.
pub(crate) fn octets(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|item| octets(item) + 1).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(key, item)| key.len() + octets(item) + 4).sum::<usize>(),
    }
}

/// Why a note cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteError {
    /// The pointer does not begin with `/`.
    Pointer,
    /// The whole object can be neither replaced nor removed.
    Root,
    /// More than 512 octets.
    PointerTooLong,
    /// More than 16 levels.
    TooDeep,
    /// The pointer goes through a value without members, or names an array index that does not exist.
    NoSuchPlace,
    /// The scope would hold more than 64 KiB.
    Full,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pointer => "a JSON Pointer begins with `/`, and a `~` in it stands before 0 or 1",
            Self::Root => "the root of the notes cannot be replaced or removed",
            Self::PointerTooLong => "the JSON Pointer exceeds 512 octets",
            Self::TooDeep => "the note is nested more than 16 levels deep",
            Self::NoSuchPlace => "the JSON Pointer goes through a value without such a member",
            Self::Full => "the notes of this scope would exceed 64 KiB",
        })
    }
}

impl std::error::Error for NoteError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn objects_on_the_way_are_made() {
        let mut notes = Notes::default();
        notes.set("/a/b~1c/d~0", json!(1)).unwrap();
        assert_eq!(notes.get(""), Some(&json!({"a": {"b/c": {"d~": 1}}})));
        notes.set("/list", json!([1])).unwrap();
        notes.set("/list/-", json!(2)).unwrap();
        notes.set("/list/0", json!(0)).unwrap();
        assert_eq!(notes.get("/list"), Some(&json!([0, 2])));
        assert_eq!(notes.set("/list/9", json!(0)), Err(NoteError::NoSuchPlace));
        assert_eq!(notes.set("/list/0/x", json!(0)), Err(NoteError::NoSuchPlace));
    }

    #[test]
    fn removal_says_whether_there_was_something() {
        let mut notes = Notes::default();
        notes.set("/a/b", json!([1, 2])).unwrap();
        assert_eq!(notes.remove("/a/b/0"), Ok(true));
        assert_eq!(notes.remove("/a/x"), Ok(false));
        assert_eq!(notes.remove("/a"), Ok(true));
        assert!(notes.is_empty());
        assert_eq!(notes.remove(""), Err(NoteError::Root));
    }

    #[test]
    fn notes_do_not_grow_without_end() {
        let mut notes = Notes::default();
        assert_eq!(notes.set("/a", json!("x".repeat(70_000))), Err(NoteError::Full));
        assert_eq!(notes.set(&"/a".repeat(17), json!(1)), Err(NoteError::TooDeep));
        let deep = (0..20).fold(json!(1), |value, _| json!([value]));
        assert_eq!(notes.set("/a", deep), Err(NoteError::TooDeep));
    }

    proptest! {
        #[test]
        fn what_is_set_is_there(pointer in "(/[a-z~01/-]{0,6}){1,4}", value in 0..9) {
            let mut notes = Notes::default();
            if notes.set(&pointer, json!(value)).is_ok() {
                prop_assert_eq!(notes.get(&pointer), Some(&json!(value)));
                prop_assert_eq!(notes.remove(&pointer), Ok(true));
                prop_assert_eq!(notes.get(&pointer), None);
            }
        }
    }
}
