//! What a plugin says of itself, checked.

use serde_json::Value;
use wasmail_policy::{Fact, Facts, Footprint, Grant};

use crate::bindings::exports::wasmail::policy::describe as wit;

/// Octets of a name; it stands in every log line.
const NAME_MAX: usize = 64;
/// Octets of a version and of a description.
const VERSION_MAX: usize = 64;
const DESCRIPTION_MAX: usize = 1_024;
/// Notes that a plugin may ask to see: each is looked up at every call.
const NOTES_MAX: usize = 256;
/// Octets of a JSON Pointer, as in `policy`.
const POINTER_MAX: usize = 512;
/// Plugins whose results a plugin may ask to see.
const RESULTS_MAX: usize = 64;
/// Notes that a plugin may declare as written: each is compared at every change of a note.
const WRITES_MAX: usize = 64;
/// Octets of a configuration's schema.
const SCHEMA_MAX: usize = 256 * 1024;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// JSON Pointers of the notes that it is shown.
    pub reads_notes: Vec<String>,
    /// Plugins whose results it is shown; `*` stands for all.
    pub reads_results: Vec<String>,
    /// Grants without which it cannot work.
    pub needs: Vec<Grant>,
    /// JSON Schema of its configuration.
    pub config_schema: Option<Value>,
    /// What its answers depend on and what they may change, if it says so.
    pub footprint: Option<Footprint>,
}

impl Manifest {
    /// Checks what `describe` returned. The error says what is wrong, for the plugin's author.
    pub(crate) fn check(manifest: wit::Manifest) -> Result<Self, String> {
        check_name(&manifest.name)?;
        check_text("version", &manifest.version, VERSION_MAX)?;
        check_text("description", &manifest.description, DESCRIPTION_MAX)?;
        check_notes("reads-notes", &manifest.reads_notes, NOTES_MAX)?;
        check_results(&manifest.reads_results)?;
        let needs = manifest.needs.iter().map(|need| need.parse().map_err(|why| format!("needs: {why}")));
        Ok(Self {
            needs: needs.collect::<Result<_, _>>()?,
            config_schema: manifest.config_schema.as_deref().map(schema).transpose()?,
            footprint: footprint(&manifest)?,
            name: manifest.name,
            version: manifest.version,
            description: manifest.description,
            reads_notes: manifest.reads_notes,
            reads_results: manifest.reads_results,
        })
    }

    /// The notes that it is shown, ready to be looked up.
    pub(crate) fn pointers(&self) -> Vec<Pointer> {
        self.reads_notes.iter().map(|pointer| Pointer::new(pointer)).collect()
    }

    pub(crate) fn reads_all_results(&self) -> bool {
        self.reads_results.iter().any(|name| name == "*")
    }
}

/// A JSON Pointer taken apart, so that a look-up need not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// As it was written.
    pub(crate) text: String,
    tokens: Vec<String>,
}

impl Pointer {
    fn new(text: &str) -> Self {
        // RFC 6901 section 4: `~1` first, so that `~01` becomes `~1`.
        let tokens = text.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
        Self { text: text.to_owned(), tokens: tokens.collect() }
    }

    /// The value it leads to.
    pub(crate) fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.tokens.iter().try_fold(root, |place, token| match place {
            Value::Object(members) => members.get(token),
            Value::Array(items) => items.get(token.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(good) {
        return Err(format!("name: {name:?} is not 1 to {NAME_MAX} lower-case letters, digits and hyphens"));
    }
    Ok(())
}

fn check_text(what: &str, text: &str, max: usize) -> Result<(), String> {
    if text.len() > max || text.chars().any(char::is_control) {
        return Err(format!("{what}: longer than {max} octets, or with a control character"));
    }
    Ok(())
}

fn check_notes(what: &str, pointers: &[String], max: usize) -> Result<(), String> {
    if pointers.len() > max {
        return Err(format!("{what}: more than {max} pointers"));
    }
    match pointers.iter().find(|pointer| !is_pointer(pointer)) {
        Some(pointer) => Err(format!("{what}: {pointer:?} is no JSON Pointer of at most {POINTER_MAX} octets")),
        None => Ok(()),
    }
}

/// Whether it is a JSON Pointer (RFC 6901 section 3) to something below the root.
fn is_pointer(text: &str) -> bool {
    let escapes = |rest: &str| rest.starts_with(['0', '1']);
    text.starts_with('/') && text.len() <= POINTER_MAX && text.split('~').skip(1).all(escapes)
}

fn check_results(names: &[String]) -> Result<(), String> {
    if names.len() > RESULTS_MAX || names.iter().any(|name| name.len() > NAME_MAX) {
        return Err(format!("reads-results: more than {RESULTS_MAX} names, or one of more than {NAME_MAX} octets"));
    }
    Ok(())
}

fn footprint(manifest: &wit::Manifest) -> Result<Option<Footprint>, String> {
    let Some(declared) = &manifest.footprint else { return Ok(None) };
    check_notes("footprint.writes-notes", &declared.writes_notes, WRITES_MAX)?;
    Ok(Some(Footprint {
        reads_notes: manifest.reads_notes.clone(),
        reads_results: manifest.reads_results.clone(),
        reads: facts(declared.reads),
        writes_notes: declared.writes_notes.clone(),
        writes: facts(declared.writes),
    }))
}

fn facts(flags: wit::Facts) -> Facts {
    let flag = |fact: &Fact| match fact {
        Fact::Relaying => wit::Facts::RELAYING,
        Fact::RemoteHost => wit::Facts::REMOTE_HOST,
        Fact::ReversePath => wit::Facts::REVERSE_PATH,
        Fact::Recipients => wit::Facts::RECIPIENTS,
        Fact::Message => wit::Facts::MESSAGE,
        Fact::Delivery => wit::Facts::DELIVERY,
        Fact::Skips => wit::Facts::SKIPS,
    };
    Fact::ALL.into_iter().filter(|fact| flags.contains(flag(fact))).collect()
}

fn schema(text: &str) -> Result<Value, String> {
    if text.len() > SCHEMA_MAX {
        return Err(format!("config-schema: more than {SCHEMA_MAX} octets"));
    }
    serde_json::from_str(text).map_err(|why| format!("config-schema: no JSON text: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wasmail_policy::Notes;

    #[test]
    fn a_pointer_has_one_spelling() {
        for good in ["/", "/a", "/a/b~1c", "/a~0", "/-"] {
            assert!(is_pointer(good), "{good}");
        }
        for bad in ["", "a", "/~", "/a~2", "/~/a"] {
            assert!(!is_pointer(bad), "{bad}");
        }
    }

    #[test]
    fn a_pointer_finds_what_notes_find() {
        let mut notes = Notes::default();
        for (pointer, value) in
            [("/a/b~1c", json!(1)), ("/a/~01", json!(2)), ("/list", json!([0, {"x": 3}])), ("/", json!(4))]
        {
            notes.set(pointer, value).unwrap();
        }
        let root = notes.get("").unwrap();
        for pointer in ["/a", "/a/b~1c", "/a/~01", "/list/1/x", "/list/2", "/list/-", "/", "/b", "/a/b"] {
            assert_eq!(Pointer::new(pointer).find(root), notes.get(pointer), "{pointer}");
        }
    }
}
