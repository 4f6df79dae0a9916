//! Components that misbehave, each in one way. See README.md beside this crate.

mod bombs;

pub use bombs::{BOMBS, Bomb, sound};

/// Name and component of each, by name.
const COMPONENTS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/components.rs"));

/// All of them that are made of `wat/`, by name.
pub fn all() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    COMPONENTS.iter().copied()
}

/// The component made of `wat/<name>.wat`.
///
/// # Panics
/// When there is no such source.
#[must_use]
pub fn component(name: &str) -> &'static [u8] {
    let found = COMPONENTS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no tests/hostile/wat/{name}.wat")).1
}
