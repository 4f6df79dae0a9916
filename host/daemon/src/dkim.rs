//! Keys that sign: read from their files, once.

use std::sync::Arc;

use wasmail_server::{DkimKey, SigningKey};

use crate::config::{KeyPath, Mistakes, Settings};

/// The keys of all domains, in the operator's order; what is wrong with the others is said.
pub(crate) fn load(settings: &Settings, mistakes: &mut Mistakes) -> Vec<Arc<SigningKey>> {
    let at = KeyPath::of(&["dkim"]);
    let mut keys: Vec<Arc<SigningKey>> = Vec::new();
    for (index, dkim) in settings.dkim.iter().enumerate() {
        let at = at.index(index);
        let key = DkimKey { domain: dkim.domain.clone(), selector: dkim.selector.clone(), path: dkim.key.clone() };
        match key.load() {
            Ok(key) if keys.iter().any(|other| other.name() == key.name()) => {
                let what = format!("{} has another key already", key.name());
                mistakes.add_with_help(&at.key("selector"), what, "give each key of a domain a selector of its own");
            }
            Ok(key) => keys.push(Arc::new(key)),
            Err(error) => mistakes.add(&at, error),
        }
    }
    keys
}
