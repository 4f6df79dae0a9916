//! How keys of many spaces lie in one table without ever meeting.

use crate::Failure;

/// Octets of a key.
const KEY_MAX: usize = 512;

/// The beginning of all keys of one space: the tenant's name and the binding's, each behind its length in 16 bits. No
/// such beginning is the beginning of another, so no key of one space can be a key of another, whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespace(Vec<u8>);

impl Namespace {
    pub(super) fn new(tenant: &str, binding: &str) -> Self {
        let mut octets = Vec::with_capacity(4 + tenant.len() + binding.len());
        for name in [tenant, binding] {
            // A longer name is cut nowhere: its length would lie.
            let len = u16::try_from(name.len()).expect("names of tenants and bindings are short");
            octets.extend_from_slice(&len.to_be_bytes());
            octets.extend_from_slice(name.as_bytes());
        }
        Self(octets)
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Where a key lies.
    pub(super) fn key(&self, key: &str) -> Result<Vec<u8>, Failure> {
        match key.len() {
            1..=KEY_MAX => Ok(self.within(key)),
            len => Err(Failure::Invalid(format!("a key has 1 to {KEY_MAX} octets, and this one has {len}"))),
        }
    }

    /// Where the keys lie that begin so; empty for all.
    pub(super) fn within(&self, prefix: &str) -> Vec<u8> {
        [&self.0, prefix.as_bytes()].concat()
    }

    /// The key as the binding wrote it.
    pub(super) fn strip<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        std::str::from_utf8(key.strip_prefix(self.octets())?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_of_different_spaces_never_meet(
            a in (".{0,6}", ".{0,6}", ".{1,8}"),
            b in (".{0,6}", ".{0,6}", ".{1,8}"),
        ) {
            let place = |(tenant, binding, key): &(String, String, String)| {
                Namespace::new(tenant, binding).key(key).unwrap()
            };
            prop_assert_eq!(a == b, place(&a) == place(&b));
            // Nor does a scan of one space, with whatever prefix, see a key of another.
            if (&a.0, &a.1) != (&b.0, &b.1) {
                prop_assert!(!place(&b).starts_with(&Namespace::new(&a.0, &a.1).within("")));
            }
        }

        #[test]
        fn a_key_comes_back_as_it_was_written(tenant in ".{0,6}", binding in ".{0,6}", key in ".{1,20}") {
            let namespace = Namespace::new(&tenant, &binding);
            let place = namespace.key(&key).unwrap();
            prop_assert_eq!(namespace.strip(&place), Some(key.as_str()));
        }
    }

    #[test]
    fn a_key_is_neither_empty_nor_long() {
        let namespace = Namespace::new("default", "greylist");
        assert!(namespace.key(&"k".repeat(512)).is_ok());
        for key in [String::new(), "k".repeat(513)] {
            assert!(matches!(namespace.key(&key), Err(Failure::Invalid(_))), "{}", key.len());
        }
    }
}
