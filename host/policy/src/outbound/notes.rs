//! Notes of a transaction, kept with its message for plugins of delivery.

use serde_json::Value;

use crate::Notes;

/// Those of the notes that these JSON Pointers name, as a JSON object; none if there are none of them.
#[must_use]
pub fn keep(notes: &Notes, pointers: &[String]) -> Option<String> {
    let mut kept = Notes::default();
    for pointer in pointers {
        let Some(value) = notes.get(pointer) else { continue };
        // What was among the notes has a place; only a part of what is kept already may be in its way, and is there then.
        let _ = kept.set(pointer, value.clone());
    }
    (!kept.is_empty()).then(|| kept.to_json())
}

/// The notes of a text by [`keep`]; nothing of one that is not.
#[must_use]
pub fn recall(text: &str) -> Notes {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    Notes::from_json(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wanted_is_kept_and_read_again() {
        let mut notes = Notes::default();
        notes.set("/forward", json!({"from": "a@example.org", "hops": [1, 2]})).unwrap();
        notes.set("/karma", json!(-3)).unwrap();
        let pointers = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let text = keep(&notes, &pointers(&["/forward/from", "/forward/hops/1", "/nothing"])).unwrap();
        let kept = recall(&text);
        assert_eq!(kept.get("/forward/from"), Some(&json!("a@example.org")));
        assert_eq!((kept.get("/forward/hops/1"), kept.get("/karma")), (Some(&json!(2)), None));
        let both = recall(&keep(&notes, &pointers(&["/forward", "/forward/hops/1"])).unwrap());
        assert_eq!(both.get("/forward/hops/1"), Some(&json!(2)));
        assert_eq!(keep(&notes, &pointers(&["/nothing"])), None);
    }

    #[test]
    fn what_is_no_object_holds_no_notes() {
        for text in ["", "7", "[1]", "{"] {
            assert!(recall(text).is_empty(), "{text}");
        }
    }
}
