//! Where a key stands: in the tree of settings, and in what the operator wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

/// One step from a table or list to what is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

/// The way to a setting, such as `listener[0].address`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct KeyPath(pub(crate) Vec<Segment>);

impl KeyPath {
    pub(crate) fn key(&self, name: &str) -> Self {
        self.with(Segment::Key(name.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        Self(self.0.iter().cloned().chain([segment]).collect())
    }

    /// The way from the top, of keys alone.
    pub(crate) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Segment::Key((*key).to_owned())).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// What the operator wrote, kept so that a mistake can be shown where it was made.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The configuration file and its text.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The environment variables that set something, by the key they set.
    pub(crate) environment: BTreeMap<KeyPath, String>,
}

impl Sources {
    /// Names the place where a key was set, or should have been: an environment variable, else file and line, else
    /// the embedded defaults.
    pub(crate) fn place(&self, at: &KeyPath) -> String {
        let found = self.file.as_ref().map(|(_, text)| line(text, at));
        let in_file = found.is_some_and(|(depth, _)| depth == at.0.len());
        // What set the key or a table around it; or a variable that made the table, when the file did not.
        let set = |set: &&KeyPath| at.0.starts_with(&set.0) || (!in_file && set.0.starts_with(&at.0));
        if let Some((_, variable)) = self.environment.iter().rfind(|(key, _)| set(key)) {
            return variable.clone();
        }
        match (&self.file, found) {
            (Some((path, _)), Some((_, Some(line)))) => format!("{}:{line}", path.display()),
            (Some((path, _)), _) => path.display().to_string(),
            (None, _) => "embedded defaults".to_owned(),
        }
    }
}

/// How many steps of the way the text has, and the line, counted from 1, of the last one.
fn line(text: &str, at: &KeyPath) -> (usize, Option<usize>) {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut value = DeValue::Table(root.into_inner());
    let mut found = (0, None);
    for segment in &at.0 {
        let Some((offset, next)) = step(&value, segment) else { break };
        found = (found.0 + 1, Some(line_of(text, offset)));
        value = next;
    }
    found
}

fn step<'i>(value: &DeValue<'i>, segment: &Segment) -> Option<(usize, DeValue<'i>)> {
    match segment {
        Segment::Key(name) => {
            let (key, next) = value.as_table()?.iter().find(|(key, _)| key.get_ref() == name)?;
            // A table's own place is its header; a key's is where its name stands.
            Some((key.span().start, next.get_ref().clone()))
        }
        Segment::Index(index) => {
            let next = value.as_array()?.get(*index)?;
            Some((next.span().start, next.get_ref().clone()))
        }
    }
}

/// The line of an offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|octet| *octet == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[server]\nhostname = \"a\"\n\n[[listener]]\naddress = 1\n\n[[listener]]\nadress = 2\n";

    fn sources() -> Sources {
        Sources { file: Some(("w.toml".into(), TEXT.into())), environment: BTreeMap::new() }
    }

    #[test]
    fn a_key_is_found_on_its_line() {
        assert_eq!(sources().place(&KeyPath::of(&["server", "hostname"])), "w.toml:2");
        assert_eq!(sources().place(&KeyPath::of(&["listener"]).index(0).key("address")), "w.toml:5");
        assert_eq!(sources().place(&KeyPath::of(&["listener"]).index(1).key("adress")), "w.toml:8");
    }

    #[test]
    fn a_missing_key_is_shown_at_the_table_that_lacks_it() {
        assert_eq!(sources().place(&KeyPath::of(&["listener"]).index(1).key("address")), "w.toml:7");
        assert_eq!(sources().place(&KeyPath::of(&["spool"])), "w.toml");
    }

    #[test]
    fn an_environment_variable_is_named() {
        let mut sources = sources();
        sources.environment.insert(KeyPath::of(&["server", "hostname"]), "WASMAIL__SERVER__HOSTNAME".into());
        assert_eq!(sources.place(&KeyPath::of(&["server", "hostname"])), "WASMAIL__SERVER__HOSTNAME");
        assert_eq!(sources.place(&KeyPath::of(&["server"])), "w.toml:1");
        sources.environment.insert(KeyPath::of(&["servr", "hostname"]), "WASMAIL__SERVR__HOSTNAME".into());
        assert_eq!(sources.place(&KeyPath::of(&["servr"])), "WASMAIL__SERVR__HOSTNAME");
    }

    #[test]
    fn a_path_reads_like_the_file() {
        assert_eq!(KeyPath::of(&["listener"]).index(1).key("limits").to_string(), "listener[1].limits");
    }
}
