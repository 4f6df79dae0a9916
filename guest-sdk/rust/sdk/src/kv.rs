//! A small durable store of the binding's own. It needs the grant `kv`; what the functions promise is said in
//! `wit/capabilities.wit`. Times to live are in seconds.
//!
//! ```no_run
//! use wasmail_guest::kv;
//!
//! // Messages of a client in this hour.
//! let sent = kv::increment("sent/203.0.113.9", 1, Some(3600))?;
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively it is a map of the thread, in which nothing expires, so that a unit test has one of its own.

use crate::Failure;
pub use crate::bindings::wasmail::policy::kv::{Entry, Page};

/// The value of a key.
///
/// # Errors
/// When it is not granted, a quota or the time is used up, the store fails, or the key is none; so it is below, too.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Failure> {
    host::get(key)
}

/// Writes a value, and gives it a new time to live.
///
/// # Errors
/// As [`get`].
pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: Option<u32>) -> Result<(), Failure> {
    host::set(key, value.as_ref(), ttl)
}

/// Forgets a key; whether it was there.
///
/// # Errors
/// As [`get`].
pub fn delete(key: &str) -> Result<bool, Failure> {
    host::delete(key)
}

/// Adds to a number; the sum. One that is not there counts as 0 and gets the time to live; one that is there keeps its own.
///
/// # Errors
/// As [`get`], and when the value is no number or the sum does not fit.
pub fn increment(key: &str, by: i64, ttl: Option<u32>) -> Result<i64, Failure> {
    host::increment(key, by, ttl)
}

/// Writes a value, or with none forgets the key, if the value is what was expected; whether it was.
///
/// # Errors
/// As [`get`].
pub fn compare_and_set(
    key: &str,
    expected: Option<&[u8]>,
    value: Option<&[u8]>,
    ttl: Option<u32>,
) -> Result<bool, Failure> {
    host::compare_and_set(key, expected, value, ttl)
}

/// Entries whose keys begin with a prefix and come after a key; [`Page::next`] says where to go on.
///
/// # Errors
/// As [`get`].
pub fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Failure> {
    host::scan(prefix, after, limit)
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::kv as host;

#[cfg(not(target_family = "wasm"))]
pub use host::pretend;

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::{Entry, Failure, Page};

    thread_local! {
        static STORE: RefCell<Result<BTreeMap<String, Vec<u8>>, Failure>> = const { RefCell::new(Ok(BTreeMap::new())) };
    }

    /// Begins with an empty store, or lets every call fail from now on in this thread: for unit tests.
    pub fn pretend(failure: Option<Failure>) {
        STORE.with(|store| *store.borrow_mut() = failure.map_or(Ok(BTreeMap::new()), Err));
    }

    fn with<T>(act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> Result<T, Failure>) -> Result<T, Failure> {
        STORE.with(|store| act(store.borrow_mut().as_mut().map_err(|failure| failure.clone())?))
    }

    pub(super) fn get(key: &str) -> Result<Option<Vec<u8>>, Failure> {
        with(|store| Ok(store.get(key).cloned()))
    }

    pub(super) fn set(key: &str, value: &[u8], _: Option<u32>) -> Result<(), Failure> {
        with(|store| {
            store.insert(key.to_owned(), value.to_vec());
            Ok(())
        })
    }

    pub(super) fn delete(key: &str) -> Result<bool, Failure> {
        with(|store| Ok(store.remove(key).is_some()))
    }

    pub(super) fn increment(key: &str, by: i64, _: Option<u32>) -> Result<i64, Failure> {
        let no_number = || Failure::Invalid("the value is no number, or the sum does not fit".to_owned());
        with(|store| {
            let text = store.get(key).map_or("0", |value| std::str::from_utf8(value).unwrap_or_default());
            let sum = text.parse::<i64>().ok().and_then(|number| number.checked_add(by)).ok_or_else(no_number)?;
            store.insert(key.to_owned(), sum.to_string().into_bytes());
            Ok(sum)
        })
    }

    pub(super) fn compare_and_set(
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        _: Option<u32>,
    ) -> Result<bool, Failure> {
        with(|store| {
            if store.get(key).map(Vec::as_slice) != expected {
                return Ok(false);
            }
            match value {
                Some(value) => store.insert(key.to_owned(), value.to_vec()),
                None => store.remove(key),
            };
            Ok(true)
        })
    }

    pub(super) fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Failure> {
        with(|store| {
            let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
            let mut rest = store.iter().filter(|(key, _)| wanted(key));
            let entry = |(key, value): (&String, &Vec<u8>)| Entry { key: key.clone(), value: value.clone() };
            let entries: Vec<_> = rest.by_ref().take(limit as usize).map(entry).collect();
            let next = rest.next().and(entries.last().map(|entry| entry.key.clone()));
            Ok(Page { entries, next })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_a_store_of_its_own() {
        set("b/1", "x", None).unwrap();
        assert_eq!((increment("b/2", 5, None), increment("b/2", -1, None)), (Ok(5), Ok(4)));
        assert_eq!(compare_and_set("b/1", Some(b"x"), Some(b"y"), None), Ok(true));
        let page = scan("b/", None, 1).unwrap();
        assert_eq!((page.entries[0].value.as_slice(), page.next.as_deref()), (&b"y"[..], Some("b/1")));
        assert_eq!((delete("b/1"), get("b/1")), (Ok(true), Ok(None)));
        pretend(Some(Failure::TimedOut));
        assert_eq!(get("b/2"), Err(Failure::TimedOut));
    }
}
